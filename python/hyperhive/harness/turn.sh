# Runs inside the cage: brings the model's socket to a loopback port and becomes the command in "$@", which needs it
# only later. PORT is where Claude Code looks for the Messages API. The relay ends with the cage, and the turn with it.
# The working directory is made again where the agent has removed it, or put something else there.
if [ -L /state/work ] || { [ -e /state/work ] && [ ! -d /state/work ]; }; then mv -T /state/work "/state/work.$(date +%s%N)"; fi
mkdir -p /state/work 2>/dev/null
cd /state/work || exit 1
{
  socat TCP-LISTEN:"$PORT",bind=127.0.0.1,fork,reuseaddr UNIX-CONNECT:/run/hive/model.sock >/dev/null 2>&1
  echo "the model's relay (socat) ended" >&2
  kill $$
} </dev/null &
# A bubblewrap that is killed while it makes the cage leaves it without a parent to die with. LIFELINE is a pipe whose
# other end the harness holds: when that is closed, whatever else failed, everything in here ends.
if [ -p "/dev/fd/$LIFELINE" ] && read -r first </proc/1/comm && [ "$first" = bwrap ]; then
  { read -r _ <"/dev/fd/$LIFELINE" || kill -KILL -1; } </dev/null >/dev/null 2>&1 &
fi
exec "$@"
