// Dragging an appointment to another place with a mouse or a pen. A finger scrolls; for it, and for the keyboard, there is a
// form that does the same.

/** Further than a hand trembles, in pixels. */
const FAR = 6;

/**
 * Lets what is `[data-movable]` in `frame` be dragged. The options: `columnAt(x, y)` is the column under a point,
 * `minuteAt(column, y)` the minute, `ghost(column, id, minute)` draws where it would come to be, `drop(id, column, minute)`
 * is called at the end, and `ended()` after each drag.
 */
export function dragging(life, frame, { columnAt, minuteAt, ghost, drop, ended }) {
  /** What is pressed: `{ block, id, x, y, grip }`; with `target` once it is dragged. */
  let held = null;
  let endedAt = -Infinity;

  function end() {
    if (!held) return null;
    const last = held;
    held = null;
    last.shown?.remove();
    last.block.classList.remove("dragged");
    frame.classList.remove("dragging");
    if (last.isDragged) {
      endedAt = performance.now();
      ended();
    }
    return last;
  }

  function begin() {
    held.isDragged = true;
    held.block.classList.add("dragged");
    frame.classList.add("dragging");
    held.block.setPointerCapture(held.pointer);
  }

  function show(x, y) {
    const column = columnAt(x, y);
    if (!column) return;
    const minute = minuteAt(column, y - held.grip);
    if (held.target?.column === column && held.target.minute === minute) return;
    held.shown?.remove();
    held.target = { column, minute };
    held.shown = ghost(column, held.id, minute);
  }

  life.on(frame, "pointerdown", (event) => {
    const block = event.target.closest("[data-movable]");
    if (!block || event.button !== 0 || event.pointerType === "touch" || held) return;
    held = { block, id: block.dataset.id, pointer: event.pointerId, x: event.clientX, y: event.clientY, grip: event.clientY - block.getBoundingClientRect().top };
  });
  life.on(window, "pointermove", (event) => {
    if (!held || event.pointerId !== held.pointer) return;
    if (!held.isDragged) {
      if (Math.hypot(event.clientX - held.x, event.clientY - held.y) < FAR) return;
      begin();
    }
    event.preventDefault();
    show(event.clientX, event.clientY);
  });
  life.on(window, "pointerup", (event) => {
    if (!held || event.pointerId !== held.pointer) return;
    const { isDragged, target, id } = end();
    if (isDragged && target) return drop(id, target.column, target.minute);
  });
  life.on(window, "pointercancel", end);
  life.on(window, "keydown", (event) => {
    if (event.key === "Escape" && held?.isDragged) end();
  });
  life.onStop(end);

  return {
    isActive: () => Boolean(held?.isDragged),
    /** The click that a browser makes of the end of a drag is none. */
    hasJustEnded: () => performance.now() - endedAt < 100,
  };
}
