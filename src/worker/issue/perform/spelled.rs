//! A product that the configuration writes otherwise than before: by its name in the place of the CA's
//! key for it, or in other letters. The CA tells whether it is the same one, and the same one is not
//! ordered again.

use super::super::task::Task;
use crate::ca::issuing::Product;
use crate::issuance::Wanted;
use crate::issuance::wanted::{as_duplicate, duplicate_of, product_of};
use crate::store::StoreError;

impl Task<'_> {
    /// Searches, once the CA has told which product is meant, for a certificate that was ordered by
    /// another spelling of it. True: nothing is ordered now.
    pub(super) async fn has_by_another_spelling(
        &mut self,
        product: &Product,
    ) -> Result<bool, StoreError> {
        let (Some(certificate), Some(order)) = (self.certificate(), &self.row.progress.order)
        else {
            return Ok(false);
        };
        if order.is_again || order.submitted_at.is_some() {
            return Ok(false);
        }
        let wanted = &certificate.wanted;
        let fits = |print: &str| {
            let other = product_of(print);
            wanted.differs_in_product_from(print)
                && other.is_some_and(|(text, _)| is_spelling(text, product))
        };
        let (version, folder) = (order.version, self.issuer.folder(certificate));
        let installed = self.row.progress.installed.as_ref();
        let own = installed.filter(|one| one.revoked_at.is_none() && fits(&one.print));
        if let Some(before) = own.and_then(|one| product_of(&one.print)) {
            let words = format!(
                "`{}` and `{}` are one product: nothing is ordered for it",
                before.0, certificate.product
            );
            self.say("respelled", words);
            self.stepped();
            let progress = self.progress();
            if let Some(order) = progress.order.take() {
                progress.leave_behind(order.records);
            }
            if let Some(installed) = progress.installed.as_mut() {
                installed.print = respelled(wanted, &installed.print);
            }
            self.discard_unless_in_hand(&folder, version);
            return Ok(true);
        }
        // A renewal wants no pair that is there, but may be ordered already.
        let is_renewal = installed.is_some_and(|one| wanted.is_met_by(&one.print));
        let has_one = !is_renewal
            && self
                .has_a_pair_of_before(certificate, &folder, fits, None)
                .await?
            || self
                .has_an_order_of_before(certificate, &folder, fits)
                .await?
            || !is_renewal
                && self
                    .has_a_pair_nearby(certificate, &folder, fits, None)
                    .await?
            || self.has_an_order_nearby(certificate, &folder, fits).await?
            || !is_renewal && self.is_revoked_there(certificate, fits).await?;
        if has_one {
            self.discard_unless_in_hand(&folder, version);
        }
        Ok(has_one)
    }
}

/// The print of what was ordered by another spelling, in that of the configuration. A duplicate that
/// is to be a certificate of its own is one until its renewal.
pub(super) fn respelled(wanted: &Wanted, print: &str) -> String {
    let first = duplicate_of(print);
    let first = first.filter(|_| duplicate_of(&wanted.print).is_none());
    match first {
        Some(first) => as_duplicate(&wanted.print, first),
        None => wanted.print.clone(),
    }
}

/// Whether a text of the configuration names this product.
fn is_spelling(text: &str, product: &Product) -> bool {
    let text = text.trim();
    let mut known = [&product.name, &product.reference].into_iter();
    !text.is_empty() && known.any(|known| known.trim().eq_ignore_ascii_case(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_product_is_known_by_its_name_and_by_its_key_in_any_letters() {
        let product = Product {
            name: "OV SSL Gold".to_owned(),
            reference: "pma-1".to_owned(),
            ..Product::default()
        };
        for text in ["OV SSL Gold", "ov ssl gold ", "PMA-1"] {
            assert!(is_spelling(text, &product), "{text}");
        }
        for text in ["", "OV SSL", "pma-2"] {
            assert!(!is_spelling(text, &product), "{text}");
        }
    }
}
