//! The adapters of CAs against their sandboxes, which really ask name servers.

mod certificates;
mod digicert;
mod internetx;
mod sectigo;
mod swisssign;

use prevalidate::ca::issuing::Fetched;
use prevalidate::ca::issuing_conformance::{self as suite, Stage};
use prevalidate::issuance::OrderState;

/// What docs/certificates.md says that an order costs at a CA: calls of the rehearsal, and of the
/// order with one check.
fn documented(ca: &str) -> [usize; 2] {
    let text = include_str!("../../docs/certificates.md");
    let row = text.lines().find_map(|line| {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        (cells.len() == 6 && cells[1] == ca).then(|| [cells[2], cells[3]])
    });
    let count = |cell: &str| cell.split(':').next().unwrap().parse().unwrap();
    row.unwrap_or_else(|| panic!("no row for {ca}")).map(count)
}

/// Rehearses, makes and brings home an order as the worker does, and counts the calls of both parts.
async fn counted(stage: &dyn Stage, name: &str, calls: impl Fn() -> usize) -> [usize; 2] {
    stage.make_ready(name);
    let mut intent = suite::intent(stage, name, &[name]);
    let ca = stage.ca();
    let begun = calls();
    intent.product = ca.preflight(&intent).await.unwrap().product.reference;
    let rehearsed = calls();
    suite::prepare(stage, &mut intent).await;
    let order = suite::submit(stage, &mut intent).await.unwrap();
    let order = ca.read(&order.key).await.unwrap();
    assert_eq!(order.state, OrderState::Issued);
    let came = ca.fetch(&order.key).await.unwrap();
    assert!(matches!(came, Fetched::Certificates(_)), "{came:?}");
    [rehearsed - begun, calls() - rehearsed]
}
