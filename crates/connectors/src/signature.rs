//! Signatures of webhook calls, as the Standard Webhooks specification has them: an HMAC-SHA256 over
//! id, time and body, so that the receiver knows who called and that it is no old call again.

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

/// The header with the call's id. The same event has the same id, however often it is sent.
pub const ID_HEADER: &str = "webhook-id";
/// The header with when it was sent, in seconds since 1970 (UTC).
pub const TIME_HEADER: &str = "webhook-timestamp";
/// The header with the signature.
pub const SIGNATURE_HEADER: &str = "webhook-signature";
/// What a secret begins with.
const PREFIX: &str = "whsec_";
/// How long a secret is, in bytes.
const LENGTH: std::ops::RangeInclusive<usize> = 24..=64;
/// What a secret must look like.
pub const SECRET_FORM: &str =
    "`whsec_` and 24 to 64 bytes in base64; `openssl rand -base64 32` makes such bytes";

/// A secret that both sides know.
#[derive(Clone)]
pub struct Secret(hmac::Key);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret")
    }
}

impl Secret {
    /// Reads a secret as people keep it; `None` unless it looks as [`SECRET_FORM`] says.
    pub fn parse(text: &str) -> Option<Secret> {
        let bytes = STANDARD.decode(text.trim().strip_prefix(PREFIX)?).ok()?;
        LENGTH.contains(&bytes.len()).then(|| Secret(hmac::Key::new(hmac::HMAC_SHA256, &bytes)))
    }

    /// The value of [`SIGNATURE_HEADER`] for a call.
    /// `seconds` are counted since 1970 (UTC).
    pub fn sign(&self, id: &str, seconds: i64, body: &str) -> String {
        let signed = format!("{id}.{seconds}.{body}");
        format!("v1,{}", STANDARD.encode(hmac::sign(&self.0, signed.as_bytes())))
    }

    /// The token that a callback for a call must show.
    pub fn callback_token(&self, id: &str) -> String {
        let tag = hmac::sign(&self.0, format!("callback.{id}").as_bytes());
        URL_SAFE_NO_PAD.encode(tag)
    }

    /// Whether a callback for a call shows its token; in constant time.
    pub fn admits(&self, id: &str, token: &str) -> bool {
        let Ok(tag) = URL_SAFE_NO_PAD.decode(token) else { return false };
        hmac::verify(&self.0, format!("callback.{id}").as_bytes(), &tag).is_ok()
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_signed_as_the_specification_says() {
        // The worked example of the specification.
        let secret = Secret::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let body = r#"{"test": 2432232314}"#;
        let signature = secret.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, body);
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn a_secret_is_long_enough_and_never_shown() {
        for bad in ["", "whsec_", "whsec_c2hvcnQ=", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_%%%"]
        {
            assert!(Secret::parse(bad).is_none(), "{bad}");
        }
        let secret = Secret::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        assert_eq!(format!("{secret:?}"), "Secret");
    }
}
