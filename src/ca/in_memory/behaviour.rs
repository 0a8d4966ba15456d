//! How the CA in memory behaves.

use jiff::SignedDuration;

use crate::ca::issuing::Wanted;
use crate::issuance::OrderState;

/// How it behaves.
#[derive(Debug, Clone)]
pub struct Behaviour {
    /// How long an order is worked on.
    pub works_for: SignedDuration,
    /// The later state of an order.
    pub becomes: OrderState,
    /// With these words.
    pub words: Option<String>,
    /// How long certificates live.
    pub life: SignedDuration,
    /// Whether the certificate is for another key than the ordered one.
    pub for_another_key: bool,
    /// This name is missing in the certificate.
    pub leaves_out: Option<String>,
    /// How long after `submit` an order cannot be found by its tag.
    pub found_after: SignedDuration,
    /// From when on an empty search is a clean no, after the end of `submit`.
    pub sure_after: SignedDuration,
    /// How long before its making a certificate begins.
    pub backdated: SignedDuration,
    /// How long `submit` takes.
    pub submit_takes: SignedDuration,
    /// Whether a revocation is done at once, or seen at a later check.
    pub revokes_at_once: bool,
    /// The records that an order wants in DNS.
    pub wants: Wanted,
    /// Whether it says so only once it has the order.
    pub brings_records: bool,
    /// How far our clock is ahead of its own.
    pub clock_ahead: SignedDuration,
    /// Whether it shows the keys of no order.
    pub hides_keys: bool,
    /// Whether the answer to an order has a key that is not its own.
    pub garbles_keys: bool,
    /// It continues with an open order after so long, and says so.
    pub goes_on_after: Option<SignedDuration>,
    /// Whether it takes the name of a product in any letters.
    pub takes_any_letters: bool,
    /// Whether its list shows orders of which it says, each by itself, that they are not there.
    pub lacks_details: bool,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self {
            works_for: SignedDuration::ZERO,
            becomes: OrderState::Issued,
            words: None,
            life: SignedDuration::from_hours(24 * 90),
            for_another_key: false,
            leaves_out: None,
            found_after: SignedDuration::ZERO,
            sure_after: SignedDuration::from_secs(30),
            backdated: SignedDuration::ZERO,
            submit_takes: SignedDuration::ZERO,
            revokes_at_once: false,
            wants: Wanted::default(),
            brings_records: false,
            clock_ahead: SignedDuration::ZERO,
            hides_keys: false,
            garbles_keys: false,
            goes_on_after: None,
            takes_any_letters: false,
            lacks_details: false,
        }
    }
}
