// What the parts tell each other. A part never calls another part: one that has failed must not take others along.

const bus = new EventTarget();

/** Tells every listener of `name`. */
export const emit = (name, detail) => bus.dispatchEvent(new CustomEvent(name, { detail }));

/** Where to listen: `part.on(events, "chat:reset", handler)`. */
export const events = bus;
