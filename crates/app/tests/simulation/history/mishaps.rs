//! What befalls the store's transactions, and what must be so whatever befell them: what was said to be
//! done is there, of what failed nothing is, and of what nobody was told of, all is.

use accede_app::Error;
use accede_store::mishap::Mishap;

use crate::oracle::{Verdict, must};

use super::History;

impl History {
    /// Perhaps something is to befall a transaction of what comes next.
    pub(super) fn arm_mishap(&mut self) {
        let Some(dice) = &mut self.families.store else { return };
        if dice.below(3) != 0 {
            return;
        }
        let mishap = *dice.pick(&Mishap::ALL);
        self.mishap_after = [0, 0, 0, 1, 2, 5][dice.below(6)];
        self.world.store.mishaps().arm(self.mishap_after, mishap);
    }

    /// Whoever met a mishap was told of it, unless it is one that nobody is told of, or what was asked
    /// for was done before it.
    pub(super) fn end_mishap(&mut self) -> Verdict {
        match self.world.store.mishaps().disarm() {
            None => {}
            Some(Mishap::Again) => self.count("mishap Again"),
            Some(_) if 0 < self.mishap_after => self.count("mishap after all was done"),
            Some(mishap) => return Err(format!("nobody was told of the mishap {mishap:?}")),
        }
        Ok(())
    }

    /// An error is what the mishap makes of it, and no other; a worker reports it and goes on.
    pub(super) fn befell(&mut self, what: &str, error: &Error) -> Result<Mishap, String> {
        let Some(mishap) = self.world.store.mishaps().disarm() else {
            return Err(format!("{what} broke: {error:?}"));
        };
        let fits = match mishap {
            Mishap::Busy => matches!(error, Error::Locked(_)),
            Mishap::Again => false,
            Mishap::Fails => matches!(error, Error::Unavailable(_)),
            Mishap::Unheard => matches!(error, Error::Uncertain(_)),
        };
        must!(fits, "{what} met {mishap:?} and says {error:?}");
        self.note(format!("{what}: {mishap:?}"));
        let what = what.split(' ').next().unwrap_or_default();
        self.count(&format!("mishap {mishap:?}"));
        self.count(&format!("{what} mishap"));
        Ok(mishap)
    }

    /// What a worker does, unless a mishap befell it.
    pub(super) fn unless_befallen<T>(
        &mut self,
        what: &str,
        outcome: accede_app::Result<T>,
    ) -> Result<Option<T>, String> {
        match outcome {
            Ok(done) => Ok(Some(done)),
            Err(error) => self.befell(what, &error).map(|_| None),
        }
    }
}
