//! `neuromesh rooms`.

use std::{
    str::FromStr,
    time::{Duration, UNIX_EPOCH},
};

use clap::Subcommand;
use neuromesh::{
    PeerId,
    core::rooms::{Grant, MAX_ROOM_NAME, RoomId},
    platform,
};
use serde_json::json;

use super::{Context, Failure};
use crate::identity::Identity;

/// The longest that a token holds, in seconds: ten years.
const MAX_LIFETIME: u64 = 3650 * 24 * 3600;

#[derive(Debug, Subcommand)]
pub(super) enum RoomsCommand {
    /// Make a token by which one peer may be in a room, and print it
    ///
    /// It is signed with the key of this data folder, whether or not a node runs on it. Nodes started with `--room-issuer` and this
    /// key's peer id take it, on its own node `--room-issuer self`. It is of no use to any other peer.
    Grant {
        /// The room
        name: String,
        /// The peer that may be in it: its peer id, in a page `mesh.id`
        #[arg(long, value_name = "ID")]
        peer: PeerId,
        /// How long: like 90s, 30m, 24h, 7d
        #[arg(long = "for", value_name = "TIME", default_value = "24h")]
        lifetime: Lifetime,
    },
    /// Explain a token, and fail if it does not hold
    Show {
        /// What `rooms grant` printed
        token: String,
        /// Check that it is for the room of this name
        #[arg(long, value_name = "NAME")]
        room: Option<String>,
    },
}

pub(super) fn execute(context: &Context, command: &RoomsCommand) -> Result<(), Failure> {
    match command {
        RoomsCommand::Grant { name, peer, lifetime } => grant(context, name, *peer, *lifetime),
        RoomsCommand::Show { token, room } => show(context, token, room.as_deref()),
    }
}

fn grant(context: &Context, name: &str, peer: PeerId, lifetime: Lifetime) -> Result<(), Failure> {
    if name.is_empty() || name.len() > MAX_ROOM_NAME {
        return Err(Failure::new("InvalidInput", format!("a room's name has 1 to {MAX_ROOM_NAME} bytes")));
    }
    let identity = Identity::open(&context.data).map_err(Failure::other)?;
    let not_after = platform::now().as_millis() / 1000 + lifetime.0;
    let grant = Grant::sign(&identity.seed(), RoomId::of(name), peer, not_after);
    let token = grant.to_string();
    let mut told = told(&grant);
    told["token"] = token.clone().into();
    told["room"] = name.into();
    context.out.print(&told, || token);
    Ok(())
}

fn show(context: &Context, token: &str, room: Option<&str>) -> Result<(), Failure> {
    let grant: Grant = token.parse().map_err(|error| Failure::new("InvalidInput", error))?;
    let id = room.map_or(grant.room, RoomId::of);
    let checked = grant.check(&id, &grant.holder, &[].into(), platform::now());
    let mut told = told(&grant);
    told["holds"] = checked.is_ok().into();
    if let Err(error) = &checked {
        told["error"] = json!({"name": "RoomDenied", "message": error.to_string()});
    }
    let named = room.filter(|_| id == grant.room).map(|name| format!(" ({name})")).unwrap_or_default();
    context.out.print(&told, || {
        format!(
            "room     {}{named}\npeer     {}\nissuer   {}\nexpires  {}",
            grant.room,
            grant.holder,
            grant.issuer,
            date(&grant)
        )
    });
    checked.map(|_| ()).map_err(|error| Failure::new("RoomDenied", format!("the token does not hold: {error}")).told())
}

fn told(grant: &Grant) -> serde_json::Value {
    json!({
        "roomId": grant.room.to_string(), "peer": grant.holder, "issuer": grant.issuer, "notAfter": grant.not_after,
        "expires": date(grant),
    })
}

/// When it ends, as HTTP writes dates; the number where that is beyond all calendars.
fn date(grant: &Grant) -> String {
    // What the library can write: up to the year 9999.
    const LAST: u64 = 253_402_300_799;
    match grant.not_after {
        seconds @ ..=LAST => httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(seconds)),
        seconds => format!("{seconds} s after 1970"),
    }
}

/// How long a token holds, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lifetime(u64);

/// A text is no lifetime.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a time like 90s, 30m, 24h or 7d, at most 3650d")]
pub(super) struct LifetimeError;

impl FromStr for Lifetime {
    type Err = LifetimeError;

    fn from_str(text: &str) -> Result<Self, LifetimeError> {
        let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let unit = match &text[digits.len()..] {
            "s" => 1,
            "m" => 60,
            "h" => 3600,
            "d" => 24 * 3600,
            _ => return Err(LifetimeError),
        };
        let seconds = digits.parse::<u64>().ok().and_then(|number| number.checked_mul(unit));
        seconds.filter(|seconds| (1..=MAX_LIFETIME).contains(seconds)).map(Self).ok_or(LifetimeError)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lifetimes_read_as_people_write_them() {
        for (text, seconds) in [("1s", 1), ("90s", 90), ("30m", 1800), ("24h", 86_400), ("7d", 604_800)] {
            assert_eq!(text.parse(), Ok(Lifetime(seconds)), "{text}");
        }
        for text in
            ["", "s", "0s", "5", "-1h", "1.5h", "1 h", "1w", "3651d", "99999999999999999999s", "9999999999999999d", "é"]
        {
            assert_eq!(text.parse::<Lifetime>(), Err(LifetimeError), "{text}");
        }
    }

    #[test]
    fn dates_of_any_grant_can_be_written() {
        let at = |seconds| date(&Grant::sign(&[1; 32], RoomId::of("r"), PeerId::from_public_key([2; 32]), seconds));
        assert_eq!(at(1_800_000_000), "Fri, 15 Jan 2027 08:00:00 GMT");
        assert!(at(253_402_300_799).contains("9999"));
        assert_eq!(at(u64::MAX), format!("{} s after 1970", u64::MAX));
    }
}
