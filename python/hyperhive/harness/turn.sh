# Runs inside the cage: brings the model's socket to a loopback port and becomes the command in "$@", which needs it
# only later. PORT is where Claude Code looks for the Messages API. The relay ends with the cage, and the turn with it.
{
  socat TCP-LISTEN:"$PORT",bind=127.0.0.1,fork,reuseaddr UNIX-CONNECT:/run/hive/model.sock >/dev/null 2>&1
  echo "the model's relay (socat) ended" >&2
  kill $$
} </dev/null &
exec "$@"
