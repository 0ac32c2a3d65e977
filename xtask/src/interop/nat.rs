//! `cargo xtask interop nat`: two of our peers behind every NAT there is, and the path that they find.
//!
//! Each cell is a call with a data channel whose texts must come across both ways. Which path it must end on follows
//! from RFC 4787 ([`behaviour::expected`]); a cell that ends on another fails, better or worse.

mod behaviour;
mod call;
mod world;
mod yank;

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, bail};
use serde::Serialize;

use self::behaviour::{Nat, Path, expected};
use self::call::Call;
use self::world::{Family, Side, World};
use self::yank::Yank;
use crate::namespace::is_root;
use crate::report::{Outcome, Report};
use crate::setup::{Found, Tools};
use crate::test::Stage;
use crate::workspace::{Profile, Workspace};
use crate::{progress, shown};

const PEER: &str = "interop-peer";
const AREA: &str = "nat";
/// A pair that fails is given up before; a relay is there after a second.
const CONNECT_PATIENCE: Duration = Duration::from_secs(40);
/// A better pair may be found after the first that works.
const SETTLE_PATIENCE: Duration = Duration::from_secs(20);

/// Two homes and what they have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Cell {
    left: Nat,
    right: Nat,
    family: Family,
}

/// How a cell ended.
#[derive(Serialize)]
struct Seen {
    left: Nat,
    right: Nat,
    dual_stack: bool,
    expected: Path,
    actual: Option<Path>,
    /// From the call to a text each way.
    seconds: f64,
    detail: String,
    passed: bool,
}

/// The cells of every run of the tests: one per path, and one for each that needs a relay for another reason.
const SHORT: &[Cell] = &[
    cell(Nat::None, Nat::None, Family::Dual),
    cell(Nat::PortRestricted, Nat::PortRestricted, Family::Ipv4),
    cell(Nat::Symmetric, Nat::FullCone, Family::Ipv4),
    cell(Nat::PortRestricted, Nat::Symmetric, Family::Ipv4),
    cell(Nat::NoUdp, Nat::Symmetric, Family::Ipv4),
];

const fn cell(left: Nat, right: Nat, family: Family) -> Cell {
    Cell { left, right, family }
}

/// NAT × NAT over IPv4, and where IPv6 leads past the NATs.
fn all() -> Vec<Cell> {
    let squares = Nat::ALL.into_iter().flat_map(|left| Nat::ALL.map(|right| cell(left, right, Family::Ipv4)));
    let dual = [Nat::None, Nat::Symmetric].map(|nat| cell(nat, nat, Family::Dual));
    squares.chain(dual).collect()
}

impl Cell {
    fn name(self) -> String {
        let dual = if self.family == Family::Dual { ", dual stack" } else { "" };
        format!("{} × {}{dual}", self.left.name(), self.right.name())
    }

    fn expected(self) -> Path {
        match self.family {
            Family::Ipv4 => expected(self.left, self.right),
            // Nobody translates IPv6.
            Family::Dual => Path::Host,
        }
    }

    fn run(self, workspace: &Workspace, world: &mut World) -> Seen {
        let started = Instant::now();
        let (mut seconds, mut actual) = (0.0, None);
        let result = self.call(workspace, world, &mut actual, &mut seconds);
        let passed = result.is_ok();
        let detail = result.unwrap_or_else(|error| format!("{error:#}"));
        if !passed {
            eprintln!("{detail}\n{}", world.turn_log());
            seconds = started.elapsed().as_secs_f64();
        }
        Seen {
            left: self.left,
            right: self.right,
            dual_stack: self.family == Family::Dual,
            expected: self.expected(),
            actual,
            seconds,
            detail,
            passed,
        }
    }

    fn call(
        self,
        workspace: &Workspace,
        world: &mut World,
        actual: &mut Option<Path>,
        seconds: &mut f64,
    ) -> Result<String> {
        let left = world.home(Side::Left, self.left, self.family)?;
        let right = world.home(Side::Right, self.right, self.family)?;
        let mut call = Call::start(workspace, &peer(workspace)?, &left.inside, &right.inside)?;
        let started = Instant::now();
        call.connect(CONNECT_PATIENCE)?;
        *seconds = started.elapsed().as_secs_f64();
        let until = Instant::now() + SETTLE_PATIENCE;
        let (path, detail) = loop {
            let (path, detail) = call.path()?;
            if path == self.expected() || Instant::now() > until {
                break (path, detail);
            }
            call.settle(Duration::from_millis(100))?;
        };
        *actual = Some(path);
        if path != self.expected() {
            bail!("{} and not {}: {detail}", path.name(), self.expected().name());
        }
        call.talk("on that path", SETTLE_PATIENCE)?;
        call.end()?;
        Ok(detail)
    }
}

fn peer(workspace: &Workspace) -> Result<PathBuf> {
    let program = workspace.binary(PEER, Profile::Dev);
    if !program.is_file() {
        bail!("{} is not built", program.display());
    }
    Ok(program)
}

/// The whole command.
pub(super) fn run(workspace: &Workspace, tools: &Tools, only: Option<&str>) -> Result<bool> {
    if !is_root() {
        bail!("only root may make network namespaces");
    }
    let mut report = Report::default();
    let mut world = World::create(workspace, tools)?;
    let mut seen = Vec::new();
    for cell in all().into_iter().filter(|cell| only.is_none_or(|only| cell.name().contains(only))) {
        progress(format!("{AREA}: {}", cell.name()));
        let result = cell.run(workspace, &mut world);
        let outcome = if result.passed { Outcome::Passed } else { Outcome::Failed };
        let elapsed = Duration::from_secs_f64(result.seconds);
        report.add(
            AREA,
            &format!("{}: {}", cell.name(), cell.expected().name()),
            outcome,
            &result.detail,
            elapsed,
        );
        seen.push(result);
    }
    for yank in Yank::ALL.into_iter().filter(|yank| only.is_none_or(|only| yank.name().contains(only))) {
        progress(format!("{AREA}: {}", yank.name()));
        let started = Instant::now();
        let result = yank.run(workspace, &peer(workspace)?, &mut world);
        let outcome = if result.is_ok() { Outcome::Passed } else { Outcome::Failed };
        let detail = result.unwrap_or_else(|error| format!("{error:#}"));
        report.add(AREA, yank.name(), outcome, &detail, started.elapsed());
    }
    let folder = workspace.artifacts().join("nat");
    std::fs::create_dir_all(&folder)?;
    std::fs::write(folder.join("table.json"), serde_json::to_vec_pretty(&seen)?)?;
    let table = table(&seen);
    std::fs::write(folder.join("table.md"), &table)?;
    report.print();
    println!("\n{table}");
    progress(format!("the table is in {}", shown(workspace, &folder)));
    Ok(!report.any_failed())
}

/// The selection that belongs to the tests.
pub(super) fn run_short(stage: &mut Stage<'_>) -> Result<()> {
    let (workspace, tools) = (stage.workspace(), stage.tools());
    let root: Found =
        if is_root() { Ok("/".into()) } else { Err("only root may make network namespaces".into()) };
    let needs = [&root, &tools.ip, &tools.nft, &tools.turnserver];
    let named: Vec<(String, Cell)> = SHORT
        .iter()
        .map(|cell| (format!("NAT: {} by {}", cell.name(), cell.expected().name()), *cell))
        .collect();
    let mut names: Vec<&str> = named.iter().map(|(name, _)| name.as_str()).collect();
    names.extend(Yank::ALL.map(Yank::name));
    stage.group(&names, &needs, |wanted, tell| {
        let mut world = World::create(workspace, &tools)?;
        for (name, cell) in named.iter().filter(|(name, _)| wanted.contains(&name.as_str())) {
            let started = Instant::now();
            let seen = cell.run(workspace, &mut world);
            let result = if seen.passed { Ok(seen.detail) } else { Err(anyhow!(seen.detail)) };
            tell(name, result, started.elapsed());
        }
        for yank in Yank::ALL.into_iter().filter(|yank| wanted.contains(&yank.name())) {
            let started = Instant::now();
            let result = yank.run(workspace, &peer(workspace)?, &mut world);
            tell(yank.name(), result, started.elapsed());
        }
        Ok(())
    })
}

/// For people: rows are the caller's side.
fn table(seen: &[Seen]) -> String {
    let mut text = String::from("| caller \\ called |");
    for nat in Nat::ALL {
        let _ = write!(text, " {} |", nat.name());
    }
    text.push_str("\n|---|");
    text.push_str(&"---|".repeat(Nat::ALL.len()));
    let shown = |cell: &Seen| {
        let actual = cell.actual.map_or("no connection", Path::name);
        let wrong =
            if cell.passed { String::new() } else { format!(" (**expected {}**)", cell.expected.name()) };
        format!("{actual}, {:.1} s{wrong}", cell.seconds)
    };
    for left in Nat::ALL {
        let _ = write!(text, "\n| {} |", left.name());
        for right in Nat::ALL {
            let found =
                seen.iter().find(|cell| (cell.left, cell.right, cell.dual_stack) == (left, right, false));
            let _ = write!(text, " {} |", found.map_or_else(|| "not run".to_owned(), shown));
        }
    }
    text.push_str("\n\nDual stack, where IPv6 is not translated:");
    for cell in seen.iter().filter(|cell| cell.dual_stack) {
        let _ = write!(text, " {} × {}: {};", cell.left.name(), cell.right.name(), shown(cell));
    }
    text.push('\n');
    text
}
