# Runs inside the cage: brings the model's socket to a loopback port, then becomes the command in "$@".
# PORT is where Claude Code looks for the Messages API. socat ends with the cage.
socat TCP-LISTEN:"$PORT",bind=127.0.0.1,fork,reuseaddr UNIX-CONNECT:/run/hive/model.sock </dev/null >/dev/null 2>&1 &
until grep -qi ":$(printf %04x "$PORT") 00000000:0000 0A" /proc/net/tcp; do
  kill -0 $! 2>/dev/null || { echo "the model's relay (socat) did not start" >&2; exit 70; }
done
exec "$@"
