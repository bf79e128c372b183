//! The reception: who works when, what they do and for how long, which times are free, and what becomes of an appointment.
//!
//! Hours are kept as a clock on the wall shows them, in the zone of the organisation; moments are kept as such. What lies
//! between the two, the days on which clocks are moved, is settled here and nowhere else. All stretches of time are half
//! open: one that ends at ten and one that begins at ten do not meet.

mod appointment;
mod day;
mod hours;
mod icalendar;
mod phone;
mod service;
mod slots;

pub use appointment::AppointmentState;
pub use day::{CalendarDay, Zone};
pub(crate) use hours::{DAY, ends, write_ends};
pub use hours::{Opening, SpecialDay, StaffHours, Week};
pub use icalendar::{CalendarEvent, CalendarMethod, calendar_file};
pub use phone::{CallingCode, PhoneNumber};
pub use service::{ServiceTimes, Step};
pub use slots::{Span, free_starts};
