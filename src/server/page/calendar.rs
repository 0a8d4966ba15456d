//! The calendar of the next months as a drawing and as a table: renewals go up, ends of proofs go
//! down, changes of the rules are lines across. Bars and numbers lead to the list of their domains.

use jiff::civil::Date;
use maud::{Markup, html};

use super::summary::{Calendar, MONTHS, Span};
use super::words::{counted, number};

/// One drawing for wide windows and one for phones: letters keep their size in both.
struct Size {
    class: &'static str,
    width: f64,
    /// Of the bars, both ways.
    plot: f64,
    /// The letters that a month is named with; a year is below its January.
    letters: usize,
}

const WIDE: Size = Size {
    class: "wide",
    width: 960.0,
    plot: 190.0,
    letters: 3,
};
const NARROW: Size = Size {
    class: "narrow",
    width: 330.0,
    plot: 190.0,
    letters: 1,
};
/// Above the bars: the words of a change, and the number of the highest bar.
const HEAD: f64 = 40.0;
/// Below them: the number of the lowest bar, months, years.
const FOOT: f64 = 58.0;

/// The whole calendar with its heading.
pub(super) fn section(calendar: &Calendar) -> Markup {
    let (renewals, ends) = calendar.peaks();
    html! {
        section aria-labelledby="calendar" {
            h2 #calendar { "The next " (MONTHS) " months" }
            figure.card.calendar {
                @if renewals + ends == 0 {
                    p.soft { "No renewal is planned and no proof ends in this time." }
                } @else {
                    ul.key aria-label="Key" {
                        li { "renewals planned, per week" }
                        li.expected { "renewals that follow them" }
                        li.end { "proofs that end unless renewed" }
                        @if drawn(calendar).next().is_some() { li.rule { "change of the rules" } }
                    }
                    (drawing(calendar, &WIDE))
                    (drawing(calendar, &NARROW))
                }
                (changes(calendar))
                (table(calendar))
            }
        }
    }
}

/// The changes that lie within the weeks.
fn drawn(calendar: &Calendar) -> impl Iterator<Item = &super::summary::Change> {
    calendar
        .changes
        .iter()
        .filter(|change| change.on < calendar.bounds().1)
}

fn drawing(calendar: &Calendar, size: &Size) -> Markup {
    let (renewals, ends) = calendar.peaks();
    let unit = size.plot / (renewals + ends).max(1) as f64;
    let axis = HEAD + renewals as f64 * unit;
    let step = size.width / calendar.weeks.len().max(1) as f64;
    let from = calendar.bounds().0;
    let x = |date: Date| days(from, date) / 7.0 * step;
    // A count above zero always has a visible height.
    let height = |count: usize| {
        if count == 0 {
            0.0
        } else {
            (count as f64 * unit).max(2.0)
        }
    };
    let bottom = HEAD + size.plot;
    html! {
        svg class=(size.class) viewBox={ "0 0 " (size.width) " " (HEAD + size.plot + FOOT) } role="group"
            aria-label={ "Renewals planned and proofs ending per week; the table below says the same" } {
            @for (place, month) in calendar.months.iter().enumerate() {
                @let at = x(month.from).max(0.0);
                @let next = calendar.months.get(place + 1).map_or(size.width, |next| x(next.from));
                line.month x1=(one(at)) x2=(one(at)) y1=(one(HEAD)) y2=(one(bottom + 22.0)) {}
                // The first one may have only a few days left, and no room for its name.
                @if at + step < size.width && next - at > 9.0 * size.letters as f64 {
                    text x=(one(at + 3.0)) y=(one(bottom + 34.0)) { (&month_name(month.from)[..size.letters]) }
                    @if month.from.month() == 1 || month.from == calendar.months[0].from && month.from.month() < 11 {
                        text x=(one(at + 3.0)) y=(one(bottom + 50.0)) { (month.from.year()) }
                    }
                }
            }
            @for (place, week) in calendar.weeks.iter().enumerate().filter(|(_, week)| week.renewals + week.expected + week.ends > 0) {
                @let (left, wide) = (place as f64 * step + step * 0.12, step * 0.76);
                @let (up, more, down) = (height(week.renewals), height(week.expected), height(week.ends));
                g.week {
                    title { (said(week)) }
                    rect.expected x=(one(left)) y=(one(axis - up - more)) width=(one(wide)) height=(one(more)) rx="1" {}
                    // With the keyboard the table leads there: it has fewer stops.
                    @if week.renewals > 0 {
                        a href=(renewals_of(week)) tabindex="-1" aria-label={ (said(week)) ": the renewals" } {
                            rect.renewal x=(one(left)) y=(one(axis - up)) width=(one(wide)) height=(one(up)) rx="1" {}
                        }
                    }
                    @if week.ends > 0 {
                        a href=(ends_of(week)) tabindex="-1" aria-label={ (said(week)) ": the ends" } {
                            rect.end x=(one(left)) y=(one(axis)) width=(one(wide)) height=(one(down)) rx="1" {}
                        }
                    }
                }
            }
            @for (place, week) in calendar.weeks.iter().enumerate() {
                @let middle = place as f64 * step + step / 2.0;
                @let (renewals, ends) = (week.renewals + week.expected, week.ends);
                @if fits(renewals, step) {
                    (count(middle, axis - height(week.renewals) - height(week.expected) - 4.0, renewals))
                }
                @if fits(ends, step) { (count(middle, axis + height(ends) + 11.0, ends)) }
            }
            line.axis x1="0" x2=(size.width) y1=(one(axis)) y2=(one(axis)) {}
            @for change in drawn(calendar) {
                @let at = x(change.on);
                line.rule x1=(one(at)) x2=(one(at)) y1="18" y2=(one(bottom + 22.0)) {}
                text.rule-text x=(one(at)) y="12" text-anchor=(anchor(at, size)) { (change.on) ": " (change.days) " days" }
            }
            // Of narrow bars only the highest has its number.
            @if let Some((place, week)) = highest(calendar, |week| week.renewals + week.expected).filter(|(_, week)| !fits(week.renewals + week.expected, step)) {
                @let top = height(week.renewals) + height(week.expected);
                (peak(place as f64 * step + step / 2.0, axis - top - 6.0, week.renewals + week.expected, size))
            }
            @if let Some((place, week)) = highest(calendar, |week| week.ends).filter(|(_, week)| !fits(week.ends, step)) {
                (peak(place as f64 * step + step / 2.0, axis + height(week.ends) + 15.0, week.ends, size))
            }
        }
    }
}

/// Whether a number is as narrow as its bar.
fn fits(count: usize, step: f64) -> bool {
    count > 0 && number(count).chars().count() as f64 * 6.0 <= step
}

fn count(x: f64, y: f64, count: usize) -> Markup {
    html! { text.count x=(one(x)) y=(one(y)) text-anchor="middle" { (number(count)) } }
}

fn peak(x: f64, y: f64, count: usize, size: &Size) -> Markup {
    html! { text.strong x=(one(x)) y=(one(y)) text-anchor=(anchor(x, size)) { (number(count)) } }
}

/// Words at the border stay inside.
fn anchor(x: f64, size: &Size) -> &'static str {
    match x {
        x if x < 60.0 => "start",
        x if x > size.width - 60.0 => "end",
        _ => "middle",
    }
}

fn highest(calendar: &Calendar, count: fn(&Span) -> usize) -> Option<(usize, &Span)> {
    calendar
        .weeks
        .iter()
        .enumerate()
        .filter(|(_, week)| count(week) > 0)
        .max_by_key(|(place, week)| (count(week), usize::MAX - place))
}

fn said(week: &Span) -> String {
    let ends = counted(week.ends, "proof ends", "proofs end");
    format!(
        "Week of {}: {} planned, {} that follow, {ends}",
        week.from,
        counted(week.renewals, "renewal", "renewals"),
        number(week.expected)
    )
}

/// The meaning of the horizontal lines, also of lines that are too far in the future to be drawn.
fn changes(calendar: &Calendar) -> Markup {
    html! {
        @if !calendar.changes.is_empty() {
            p.small.soft {
                "A validation lasts: "
                @for (place, change) in calendar.changes.iter().enumerate() {
                    @if place > 0 { ", " }
                    (change.days) " days from " time datetime=(change.on) { (change.on) }
                }
                ". Proofs that exist already are shortened too."
            }
        }
    }
}

fn table(calendar: &Calendar) -> Markup {
    html! {
        details {
            summary { "The calendar as a table" }
            table.tight {
                caption { "Renewals planned, renewals that follow them, and proofs that end unless renewed, by month" }
                thead { tr { th scope="col" { "Month" } th.number scope="col" { "Planned" } th.number scope="col" { "Following" } th.number scope="col" { "Ends" } } }
                tbody {
                    @for month in &calendar.months {
                        tr {
                            th scope="row" { time datetime=(month.from.strftime("%Y-%m")) { (month_name(month.from)) " " (month.from.year()) } }
                            td.number { (linked(month.renewals, &renewals_of(month))) }
                            td.number { (number(month.expected)) }
                            td.number { (linked(month.ends, &ends_of(month))) }
                        }
                    }
                }
            }
        }
    }
}

/// The list of the domains whose renewal is planned then.
fn renewals_of(span: &Span) -> String {
    let from = format!("renewal_from={}&", span.from);
    let from = if span.is_first { "" } else { from.as_str() };
    format!(
        "/domains?state=valid&covered=false&{from}renewal_before={}&sort=renew_at",
        span.to
    )
}

/// The list of the domains whose proof ends then.
fn ends_of(span: &Span) -> String {
    let (from, to) = (span.from, span.to);
    format!("/domains?covered=false&ends_from={from}&ends_before={to}&sort=usable_until")
}

fn linked(count: usize, to: &str) -> Markup {
    html! { @if count > 0 { a href=(to) { (number(count)) } } @else { (number(count)) } }
}

fn month_name(date: Date) -> String {
    date.strftime("%B").to_string()
}

fn days(from: Date, to: Date) -> f64 {
    from.until(to)
        .map_or(0.0, |span| f64::from(span.get_days()))
}

/// To a tenth: finer than any screen.
fn one(length: f64) -> String {
    format!("{length:.1}")
}
