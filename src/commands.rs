//! The command line: one file per subcommand, each of which wires the parts and returns an exit
//! status.

mod ages;
mod app;
mod asked;
mod by_hand;
mod catalogue;
mod certificate;
mod check;
mod compare;
mod completions;
mod config;
mod demo;
mod diagnose;
mod doctor;
mod exit;
mod forecast;
mod global;
mod held;
mod help;
mod history;
mod hook;
mod inventory;
mod man;
mod name;
mod names;
mod notify;
mod order;
mod persistent;
mod plan;
mod planned;
mod providers;
mod readiness;
mod reasons;
mod records;
mod reset;
mod run;
mod sandbox;
mod serve;
mod signals;
mod status;
mod store;
mod summary;
mod version;
mod withdraw;
mod work;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use self::exit::{Exit, Failed};
use self::global::{Global, OutputFormat};
use crate::output::{self, Output};

/// Keeps an organisation's domains prevalidated at its certificate authority, by DNS, without a
/// person who watches.
#[derive(Debug, Parser)]
#[command(
    name = "prevalidate",
    version,
    propagate_version = true,
    arg_required_else_help = true,
    max_term_width = 100
)]
#[command(
    after_help = "Exit status: 0 every domain asked for is valid with margin · 1 some are not · 2 usage or configuration · \
3 CA or authentication · 4 DNS · 5 the guard refused · 75 temporary, try again."
)]
pub struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Registers, publishes, validates, renews and cleans up what is due: the nightly job
    #[command(alias = "renew")]
    Run(run::RunArgs),
    /// Does the same continuously, as a daemon; several machines may share one PostgreSQL store
    Serve(serve::ServeArgs),
    /// Shows what `run` would do and why; changes nothing anywhere
    Plan(plan::PlanArgs),
    /// Shows the state of each domain
    #[command(visible_alias = "list")]
    Status(status::StatusArgs),
    /// Adds domains to the inventory beside the configuration
    Add(inventory::AddArgs),
    /// Removes domains from the inventory
    Remove(inventory::RemoveArgs),
    /// Adds many domains: from the CA, a file, or standard input
    Import(inventory::ImportArgs),
    /// Asks the CA for a new random value now
    Reset(reset::ResetArgs),
    /// Removes our record from DNS now; the domain waits until `run --domain` takes it up again
    Withdraw(withdraw::WithdrawArgs),
    /// Shows everything that was done for a domain
    History(history::HistoryArgs),
    /// Says why a domain does not become valid, and what to do; changes nothing anywhere
    Diagnose(diagnose::DiagnoseArgs),
    /// Lists what will stop certificates on a coming day, and the records to change; changes
    /// nothing anywhere
    Readiness(readiness::ReadinessArgs),
    /// Prints one line with performance data for a monitoring system; ends with 0, 1, 2 or 3
    Check(check::CheckArgs),
    /// Works on the named domains or zones now, for pipelines that changed DNS
    Hook(hook::HookArgs),
    /// Shows how many proofs end and are renewed in each week of the next years
    Forecast(forecast::ForecastArgs),
    /// Prints the records that must be in DNS now and those that may go, for pipelines
    Records(records::RecordsArgs),
    /// Orders, installs, renews and revokes certificates
    #[command(subcommand)]
    Certificate(certificate::CertificateCommand),
    /// Shows, finds and withdraws records that stay in DNS (`_validation-persist`)
    #[command(subcommand)]
    Persistent(persistent::PersistentCommand),
    /// Lists the products that can be ordered at the CAs
    Products(catalogue::ProductsArgs),
    /// Lists the clients of the CAs, for which certificates can be ordered
    Clients(catalogue::ClientsArgs),
    /// Lists the DNS providers and the zones they have; `check` proves that they can be written
    Providers(providers::ProvidersArgs),
    /// Tries everything that a run needs: configuration, CA, providers, name servers, notifications
    Doctor(doctor::DoctorArgs),
    /// Tests the notifications, and shows which problems they told
    #[command(subcommand)]
    Notify(notify::NotifyCommand),
    /// Writes, checks, explains or shows the configuration
    #[command(subcommand)]
    Config(config::ConfigCommand),
    /// Copies the store into another database, or brings it up to date
    #[command(subcommand)]
    Store(store::StoreCommand),
    /// Starts CAs and name servers on this machine to try things with
    Sandbox(sandbox::SandboxArgs),
    /// Shows the whole life of a few domains, in seconds, on a sandbox of its own
    Demo(demo::DemoArgs),
    /// Prints completions for a shell
    Completions(completions::CompletionsArgs),
    /// Prints the version; with -v what it was built with
    Version,
    /// Writes manual pages into a folder
    #[command(hide = true)]
    Man(man::ManArgs),
}

/// Parses the command line, runs the command, says how it ended.
pub fn main() -> ExitCode {
    leave_no_core();
    let args: Vec<_> = std::env::args_os().collect();
    let cli = match help::parse(&args) {
        Ok(cli) => cli,
        Err(error) => {
            // What was typed comes back in the message; it may come from a pipeline and must not
            // drive a terminal (faults N07).
            let harmless = args
                .iter()
                .map(|arg| output::escape(&arg.to_string_lossy()).into_owned());
            let error = help::parse(harmless).err().unwrap_or(error);
            // Help and version go to standard output and end well; clap knows which is which.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    let output = Output::stdio(cli.global.output());
    // What a daemon does is in its log.
    let least = u8::from(matches!(cli.command, Command::Serve(_)) && !cli.global.quiet);
    let in_json = matches!(&cli.command, Command::Serve(args) if args.logs_json(&cli.global));
    if let Some(fault) = output::log::start(cli.global.verbose.max(least), in_json) {
        output.warn(&fault, None);
    }
    let outcome = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => {
            let outcome = runtime.block_on(dispatch(cli, &output));
            // A command that gives a secret is not waited for by a process that is to end.
            runtime.shutdown_background();
            outcome
        }
        Err(error) => Err(Failed::new(
            Exit::Temporary,
            format!("cannot start: {error}"),
        )),
    };
    let mut exit = outcome.unwrap_or_else(|failed| {
        output.error(&failed.message, failed.hint.as_deref());
        if !output.has_document() {
            output.json(&failed.document());
        }
        failed.exit
    });
    if let Err(error) = output.finish() {
        output.error(&format!("the results could not be written: {error}"), None);
        exit = if exit == Exit::Done {
            Exit::Temporary
        } else {
            exit
        };
    }
    exit.into()
}

/// Keys and tokens are in memory: no core file of this process is written, and no other process of
/// the same user reads its memory. Where that is not to be had, it continues without.
fn leave_no_core() {
    use rustix::process::{DumpableBehavior, Resource, Rlimit};
    let nothing = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    let _ = rustix::process::setrlimit(Resource::Core, nothing);
    let _ = rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable);
}

async fn dispatch(cli: Cli, output: &Output) -> Result<Exit, Failed> {
    let global = &cli.global;
    let writes_markdown = matches!(cli.command, Command::Plan(_) | Command::Forecast(_));
    if global.output == OutputFormat::Markdown && !writes_markdown {
        return Err(Failed::new(
            Exit::Usage,
            "`--output markdown` is only for `plan` and `forecast`",
        ));
    }
    if matches!(cli.command, Command::Run(_)) && help::is_renew() {
        output.notice(help::RENEW);
    }
    match cli.command {
        Command::Run(args) => run::run(global, args, output).await,
        Command::Serve(args) => serve::serve(global, args, output).await,
        Command::Plan(args) => plan::plan(global, args, output).await,
        Command::Status(args) => status::status(global, args, output).await,
        Command::Add(args) => inventory::add(global, args, output).await,
        Command::Remove(args) => inventory::remove(global, args, output).await,
        Command::Import(args) => inventory::import(global, args, output).await,
        Command::Reset(args) => reset::reset(global, args, output).await,
        Command::Withdraw(args) => withdraw::withdraw(global, args, output).await,
        Command::History(args) => history::history(global, args, output).await,
        Command::Diagnose(args) => diagnose::diagnose(global, args, output).await,
        Command::Readiness(args) => readiness::readiness(global, args, output).await,
        Command::Check(args) => check::check(global, args, output).await,
        Command::Hook(args) => hook::hook(global, args, output).await,
        Command::Records(args) => records::records(global, args, output).await,
        Command::Providers(args) => providers::providers(global, args, output).await,
        Command::Certificate(command) => certificate::certificate(global, command, output).await,
        Command::Persistent(command) => persistent::persistent(global, command, output).await,
        Command::Products(args) => catalogue::products(global, args, output).await,
        Command::Clients(args) => catalogue::clients(global, args, output).await,
        Command::Doctor(args) => doctor::doctor(global, args, output).await,
        Command::Notify(command) => notify::notify(global, command, output).await,
        Command::Config(command) => config::config(global, command, output),
        Command::Store(command) => store::store(global, command, output).await,
        Command::Sandbox(args) => sandbox::sandbox(args, output).await,
        Command::Demo(args) => demo::demo(args, output).await,
        Command::Forecast(args) => forecast::run(global, args, output).await,
        Command::Completions(args) => completions::completions(&args, output),
        Command::Version => version::version(global, output),
        Command::Man(args) => man::man(&args, output),
    }
}
