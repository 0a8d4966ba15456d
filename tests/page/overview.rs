//! What the overview shows beside the domains: bars that lead to lists, machines and the last run.

use prevalidate::clock::Clock as _;
use prevalidate::overview::machines::{LastRun, note_daemon, note_run};

use super::*;

/// The numbers of a bar and of its list are the same.
#[tokio::test]
async fn each_bar_of_the_calendar_leads_to_the_list_of_its_domains() {
    let site = Site::open(300).await;
    // Numbers and their nouns are not parted at the end of a line.
    let text = async |path: &str| {
        let page = site.get(path).await;
        assert_eq!(page.status, StatusCode::OK, "{path}");
        page.text.replace('\u{a0}', " ")
    };
    let page = text("/").await;
    let bars = page.split("<a href=\"").skip(1);
    let bars: Vec<(String, String)> = bars
        .filter_map(|rest| {
            let (href, rest) = rest.split_once('"')?;
            let label = rest.split_once("aria-label=\"")?.1.split_once('"')?.0;
            let is_bar = label.starts_with("Week of ");
            is_bar.then(|| (href.replace("&amp;", "&"), label.to_owned()))
        })
        .collect();
    let of = |word: &str| {
        let bars = bars.iter();
        bars.filter(|(_, label)| label.ends_with(word)).count()
    };
    assert!(of("the renewals") > 0 && of("the ends") > 0, "{bars:?}");
    for (href, label) in &bars {
        let (before, after) = match label.ends_with("the renewals") {
            true => (": ", " renewal"),
            false => ("that follow, ", " proof"),
        };
        let count = label.split_once(before).unwrap().1;
        let count = count.split_once(after).unwrap().0;
        let noun = if count == "1" { "domain" } else { "domains" };
        let list = text(href).await;
        let found = format!("{count} {noun} found");
        assert!(list.contains(&found), "{label}: {href}");
    }
}

#[tokio::test]
async fn the_overview_names_the_machines_and_how_the_last_run_ended() {
    let site = Site::open(3).await;
    let before = site.get("/").await;
    assert!(!before.has("Machines"), "no worker has worked yet");
    let (store, now) = (&*site.inventory.store, site.inventory.clock.now());
    let minutes = SignedDuration::from_mins;
    note_daemon(store, "ca1", now - minutes(1)).await.unwrap();
    note_daemon(store, "ca2<b>", now - minutes(30))
        .await
        .unwrap();
    let run = LastRun {
        host: "ca1".to_owned(),
        ended_at: now - minutes(90),
        exit: 4,
    };
    note_run(store, &run).await.unwrap();
    site.shared.read_again().await.unwrap();
    let page = site.get("/").await;
    for said in [
        "with exit status 4: only DNS is in the way",
        "Daemon on ca1",
        "It works; last seen",
        "Daemon on ca2&lt;b&gt;",
        "It is silent",
    ] {
        assert!(page.has(said), "{said}");
    }
}

/// Telegraf, Checkmk and older agents read this format.
#[tokio::test]
async fn prometheus_s_own_tool_takes_the_metrics() {
    let site = Site::open(30).await;
    let metrics = site.get("/metrics").await;
    assert_eq!(metrics.status, StatusCode::OK);
    assert!(metrics.has("prevalidate_domains"), "{}", metrics.text);
    crate::support::process::run("promtool", &["check", "metrics"], &metrics.text);
}
