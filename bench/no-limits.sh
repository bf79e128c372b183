# Sourced: limits are kept and not reached, since a few callers send more than people do, and all from one address.
for plan in FREE CORE STUDIO; do
  for class in MESSAGES LIVE_CONNECT SYNC OTHER; do export "MAINSTAY_LIMITS__${plan}__$class=1000000"; done
done
for limit in ORGANISATION API_KEY PUBLIC LIVE_CONNECT_PER_ADDRESS; do export "MAINSTAY_LIMITS__$limit=1000000"; done
