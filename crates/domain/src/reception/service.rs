//! How long what is offered takes.

use std::time::Duration;

use serde::Serialize;

use crate::text::Refused;

/// How long a service takes, and how much time whoever does it needs before and after, in minutes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct ServiceTimes {
    minutes: u16,
    before: u16,
    after: u16,
}

const MINUTE: Duration = Duration::from_secs(60);

impl ServiceTimes {
    /// The least and the most minutes of a service.
    pub const BOUNDS: (u16, u16) = (5, 720);
    /// The most minutes before, and after.
    pub const MOST_BUFFER: u16 = 240;

    /// The most of somebody's time that any service takes.
    pub const LONGEST: Duration = Duration::from_secs(60 * (Self::BOUNDS.1 as u64 + 2 * Self::MOST_BUFFER as u64));

    /// A service that takes so many minutes.
    ///
    /// # Errors
    /// When it is shorter than 5 minutes or longer than 12 hours, or a buffer is longer than 4 hours: the code says which,
    /// by the name of the field.
    pub fn new(minutes: u16, before: u16, after: u16) -> Result<Self, (&'static str, Refused)> {
        let (least, most) = Self::BOUNDS;
        if !(least..=most).contains(&minutes) {
            let detail = format!("It takes from {least} to {most} minutes.");
            return Err(("minutes", Refused { code: "out_of_range", detail }));
        }
        for (field, buffer) in [("before_minutes", before), ("after_minutes", after)] {
            if buffer > Self::MOST_BUFFER {
                let detail = format!("At most {} minutes are set aside.", Self::MOST_BUFFER);
                return Err((field, Refused { code: "out_of_range", detail }));
            }
        }
        Ok(Self { minutes, before, after })
    }

    /// What the person who comes is told.
    #[must_use]
    pub fn length(self) -> Duration {
        MINUTE * u32::from(self.minutes)
    }

    /// What is set aside before.
    #[must_use]
    pub fn before(self) -> Duration {
        MINUTE * u32::from(self.before)
    }

    /// What is set aside after.
    #[must_use]
    pub fn after(self) -> Duration {
        MINUTE * u32::from(self.after)
    }
}

/// How far apart the beginnings are that are offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step(u16);

impl Step {
    /// The minutes that a step may have.
    pub const ALL: [u16; 7] = [5, 10, 15, 20, 30, 45, 60];

    /// A step of so many minutes.
    ///
    /// # Errors
    /// When it is none of those that there are.
    pub fn new(minutes: u16) -> Result<Self, Refused> {
        if Self::ALL.contains(&minutes) {
            return Ok(Self(minutes));
        }
        let all = Self::ALL.map(|minutes| minutes.to_string()).join(", ");
        Err(Refused { code: "out_of_range", detail: format!("It is one of {all} minutes.") })
    }

    /// In minutes.
    #[must_use]
    pub const fn minutes(self) -> u16 {
        self.0
    }

    /// As a length of time.
    #[must_use]
    pub fn length(self) -> Duration {
        MINUTE * u32::from(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_bounds_and_say_which_is_broken() {
        let times = ServiceTimes::new(30, 5, 10).expect("times");
        assert_eq!([times.length(), times.before(), times.after()].map(|time| time.as_secs()), [1_800, 300, 600]);
        let field = |minutes, before, after| ServiceTimes::new(minutes, before, after).map_err(|(field, _)| field);
        assert_eq!((field(4, 0, 0), field(721, 0, 0)), (Err("minutes"), Err("minutes")));
        assert_eq!((field(30, 241, 0), field(30, 0, 241)), (Err("before_minutes"), Err("after_minutes")));
        assert_eq!((Step::new(15).map(Step::minutes), Step::new(7).is_err()), (Ok(15), true));
    }
}
