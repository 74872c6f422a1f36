//! Faults that every kind of target has, in the same words.

use accede_domain::fault::{Class, Fault};

/// A change that was held back, because one before it may still be under way.
pub fn not_sent() -> Fault {
    let message = "a call before this one did not come to an end, so this one was not sent";
    Fault::new(Class::Transient, "not-sent", message)
}

/// A list that ends too early to say who is not in it.
pub fn partial() -> Fault {
    let message = "the target answered with a part of the list only, which proves nothing";
    Fault::new(Class::Transient, "partial-answer", message)
}

/// A resource that is verifiably gone; `what` it was, such as `group`.
pub fn gone(what: &str, resource: &str) -> Fault {
    let message =
        format!("the {what} `{resource}` does not exist any more; remove the resource role");
    Fault::new(Class::Permanent, "resource-gone", message)
}

/// A role that more people hold than are listed.
pub fn too_many(role: &str) -> Fault {
    let message =
        format!("more than {} hold `{role}`, which is more than are compared", crate::MAX_HOLDERS);
    Fault::new(Class::Unsupported, "too-many-holders", message)
}
