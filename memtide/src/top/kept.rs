//! A part of what was told, and what it was before.

use std::time::Duration;

use super::ask::{Heard, Lack, Told};
use super::screen::Section;

/// A part as it was told last and the time before.
#[derive(Debug)]
pub(super) struct Kept<T> {
    pub(super) now: Option<Heard<T>>,
    pub(super) before: Option<Heard<T>>,
    /// Why the newest look has none.
    pub(super) lack: Option<Lack>,
}

impl<T> Default for Kept<T> {
    fn default() -> Self {
        Self { now: None, before: None, lack: None }
    }
}

impl<T> Kept<T> {
    pub(super) fn hear(&mut self, told: Told<T>) {
        match told {
            Ok(heard) => {
                self.before = self.now.replace(heard);
                self.lack = None;
            }
            Err(lack) => {
                if lack == Lack::NotHere {
                    (self.now, self.before) = (None, None);
                }
                self.lack = Some(lack);
            }
        }
    }

    pub(super) fn page(&self) -> Option<&T> {
        self.now.as_ref().map(|heard| &heard.page)
    }

    /// The two, and the seconds between them; only where the newest look has one.
    pub(super) fn pair(&self) -> Option<(&T, &T, f64)> {
        let (before, now) = self.before.as_ref().zip(self.now.as_ref())?;
        let seconds = now.at.saturating_sub(before.at).as_secs_f64();
        let is_new = self.lack.is_none() && seconds > 0.0;
        is_new.then_some((&before.page, &now.page, seconds))
    }

    pub(super) fn section<U>(&self, at: Duration, of: impl FnOnce(&T) -> U) -> Section<U> {
        let why = match &self.lack {
            None => None,
            Some(Lack::NotHere) => Some("not told by a process of this role".to_owned()),
            Some(Lack::Refused(why) | Lack::Failed(why)) => Some(why.clone()),
        };
        let age = self.now.as_ref().map(|heard| at.saturating_sub(heard.at));
        Section { body: self.page().map(of), lack: why.map(|why| (why, age)) }
    }
}
