// A place in both streams: "<epoch>.<head>-<epoch>.<head>", the membership's first. While a client that began after
// tombstones were forgotten has not come as far as they reached, ".<floor>" follows a head.

const STREAMS = ["membership", "organisation"];

export function parse(text) {
  const places = text.split("-").map((place) => {
    const [epoch, head, floor = 0] = place.split(".").map(Number);
    return { epoch, head, floor };
  });
  return { membership: places[0], organisation: places[1] };
}

export const format = (cursor) => STREAMS.map((stream) => {
  const { epoch, head, floor } = cursor[stream];
  return `${epoch}.${head}${floor > head ? `.${floor}` : ""}`;
}).join("-");

/** Moves a place on to a number, never back. */
export function advance(cursor, stream, seq) {
  cursor[stream].head = Math.max(cursor[stream].head, seq);
}

/** Whether everything up to `from` is known at `here`. A stream in which nothing ever was is reached by everybody. */
export const hasReached = (here, from) => STREAMS.every((stream) => {
  const wanted = from[stream];
  return wanted.head === 0 || (here[stream].epoch === wanted.epoch && here[stream].head >= wanted.head);
});

/** Whether two places can be of one history. */
export const isSameLife = (one, other) => STREAMS.every((stream) => {
  const [a, b] = [one[stream], other[stream]];
  return a.epoch === b.epoch || a.epoch === 0 || b.epoch === 0 || a.head === 0 || b.head === 0;
});
