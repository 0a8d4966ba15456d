//! Old and new programs on one store: a migration only adds, so that what the version before it
//! writes and reads continues working while machines are brought up to date one by one (faults B07,
//! W11).

use std::collections::{BTreeMap, BTreeSet};

use prevalidate::store::conformance::name;

use super::*;
use crate::support::postgres::{Cluster, Database};

/// A table's or view's shape, as far as the programs on it see it.
#[derive(Debug, Clone, PartialEq)]
struct Column {
    kind: String,
    /// A row may come without it.
    optional: bool,
    nullable: bool,
}

#[derive(Debug, Clone, Default, PartialEq)]
struct Shape {
    /// By table and column.
    columns: BTreeMap<(String, String), Column>,
    /// What refuses rows or finds them again, by table: checks, keys, unique indexes, triggers.
    rules: BTreeSet<(String, String)>,
}

impl Shape {
    fn of(
        columns: Vec<(String, String, String, bool, bool)>,
        rules: Vec<(String, String)>,
    ) -> Self {
        let columns = columns
            .into_iter()
            .map(|(table, column, kind, nullable, default)| {
                (
                    (table, column),
                    Column {
                        kind,
                        nullable,
                        optional: nullable || default,
                    },
                )
            });
        Self {
            columns: columns.collect(),
            rules: rules.into_iter().collect(),
        }
    }

    /// What a program that knows this shape would stumble over in a `later` one.
    fn lost_in(&self, later: &Self) -> Vec<String> {
        let mut faults = Vec::new();
        for (at, column) in &self.columns {
            match later.columns.get(at) {
                None => faults.push(format!("{at:?} is gone")),
                Some(now) if now.kind != column.kind => {
                    faults.push(format!("{at:?} is another type"))
                }
                Some(now)
                    if column.nullable && !now.nullable || column.optional && !now.optional =>
                {
                    faults.push(format!("{at:?} must be given now"));
                }
                Some(_) => {}
            }
        }
        let knows = |table: &str| self.columns.keys().any(|(known, _)| known == table);
        let new = later
            .columns
            .iter()
            .filter(|(at, _)| knows(&at.0) && !self.columns.contains_key(*at));
        faults.extend(
            new.filter(|(_, c)| !c.optional)
                .map(|(at, _)| format!("{at:?} is new and must be given")),
        );
        let rules = |shape: &Self| -> BTreeSet<_> {
            shape
                .rules
                .iter()
                .filter(|(t, _)| knows(t))
                .cloned()
                .collect()
        };
        let (before, after) = (rules(self), rules(later));
        faults.extend(
            before
                .symmetric_difference(&after)
                .map(|rule| format!("{rule:?} is not as it was")),
        );
        faults
    }
}

fn migrations(folder: &str) -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|file| file.unwrap().path())
        .collect();
    files.sort();
    files
        .iter()
        .map(|file| std::fs::read_to_string(file).unwrap())
        .collect()
}

/// The statements of all versions that programs may still have, by version.
fn statements(back_end: &str) -> Vec<(usize, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/store/statements");
    let files = std::fs::read_dir(folder)
        .unwrap()
        .map(|file| file.unwrap().path());
    let version = |path: &Path| {
        path.file_stem()?
            .to_str()?
            .strip_prefix(back_end)?
            .parse()
            .ok()
    };
    files
        .filter_map(|path| Some((version(&path)?, std::fs::read_to_string(&path).unwrap())))
        .collect()
}

/// What the statements left behind, seen by the program of today.
async fn has_taken(store: &dyn Store) {
    let row = store.domain(&name("old.ch").into()).await.unwrap().unwrap();
    assert_eq!(
        (
            row.client.as_str(),
            row.upkeep.attempt.visibility.checks,
            row.origins
        ),
        ("swisssign/a", 7, vec![Origin::Config])
    );
    assert_eq!(row.due_at.unwrap().as_microsecond(), 600);
    assert_eq!(
        store
            .open_entries(Some(&name("old.ch").into()))
            .await
            .unwrap()[0]
            .value,
        "swiss-pki=old"
    );
    assert_eq!(
        store
            .effects_since(jiff::Timestamp::UNIX_EPOCH)
            .await
            .unwrap()
            .all,
        1
    );
    assert_eq!(
        store.history(&name("old.ch")).await.unwrap()[0].detail,
        "by an old program"
    );
    assert_eq!(store.fact("old").await.unwrap().as_deref(), Some("yes"));
}

async fn shape_of_file(db: &mut SqliteConnection) -> Shape {
    let columns =
        "SELECT t.name, c.name, c.type, c.\"notnull\" = 0, c.dflt_value IS NOT NULL OR c.pk > 0
        FROM sqlite_schema t, pragma_table_xinfo(t.name) c WHERE t.type IN ('table', 'view')";
    let rules = "SELECT t.name, 'unique: ' || group_concat(i.name) || l.partial
        FROM sqlite_schema t, pragma_index_list(t.name) l, pragma_index_info(l.name) i
        WHERE t.type = 'table' AND l.\"unique\" GROUP BY t.name, l.name
        UNION ALL SELECT tbl_name, sql FROM sqlite_schema WHERE type = 'trigger'";
    let columns = sqlx::query_as(columns).fetch_all(&mut *db).await.unwrap();
    Shape::of(columns, sqlx::query_as(rules).fetch_all(db).await.unwrap())
}

async fn shape_of_database(database: &Database) -> Shape {
    let columns =
        "SELECT table_name::text, column_name::text, data_type::text, is_nullable = 'YES',
            column_default IS NOT NULL OR is_identity = 'YES'
        FROM information_schema.columns WHERE table_schema = 'public'";
    let rules = "SELECT conrelid::regclass::text, pg_get_constraintdef(oid) FROM pg_constraint
            WHERE connamespace = 'public'::regnamespace AND contype <> 'n'
        UNION ALL SELECT tablename::text, indexdef FROM pg_indexes WHERE schemaname = 'public' AND indexdef LIKE 'CREATE UNIQUE%'
        UNION ALL SELECT tgrelid::regclass::text, pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal";
    let mut db = database.connect().await;
    let columns = sqlx::query_as(columns).fetch_all(&mut db).await.unwrap();
    Shape::of(
        columns,
        sqlx::query_as(rules).fetch_all(&mut db).await.unwrap(),
    )
}

#[tokio::test]
async fn a_migration_of_the_file_takes_nothing_away_from_a_program_that_is_still_running() {
    let dir = tempfile::tempdir().unwrap();
    let mut db = raw(&dir.path().join("state.db")).await;
    let mut shapes = vec![Shape::default()];
    for migration in migrations("src/store/migrations") {
        sqlx::raw_sql(sqlx::AssertSqlSafe(migration))
            .execute(&mut db)
            .await
            .unwrap();
        let shape = shape_of_file(&mut db).await;
        for (version, known) in shapes.iter().enumerate() {
            assert_eq!(
                known.lost_in(&shape),
                Vec::<String>::new(),
                "{version} beside {}",
                shapes.len()
            );
        }
        shapes.push(shape);
    }
}

#[tokio::test]
async fn a_migration_of_the_database_takes_nothing_away_from_the_versions_that_it_says_can_go_on() {
    let database = Cluster::shared().database().await;
    let mut shapes = vec![Shape::default()];
    for migration in migrations("src/store/postgres/migrations") {
        database.run(&migration).await;
        let shape = shape_of_database(&database).await;
        let newest = "SELECT usable_from FROM prevalidate_schema ORDER BY version DESC LIMIT 1";
        let usable_from = usize::try_from(database.number(newest).await).unwrap();
        for (version, known) in shapes.iter().enumerate().skip(usable_from) {
            assert_eq!(
                known.lost_in(&shape),
                Vec::<String>::new(),
                "{version} beside {}",
                shapes.len()
            );
        }
        shapes.push(shape);
    }
}

#[test]
fn what_would_stop_an_older_program_is_found() {
    let column = |name: &str, nullable, default| {
        (
            "t".to_owned(),
            name.to_owned(),
            "text".to_owned(),
            nullable,
            default,
        )
    };
    let key = ("t".to_owned(), "PRIMARY KEY (a)".to_owned());
    let before = Shape::of(
        vec![column("a", false, false), column("b", true, false)],
        vec![key.clone()],
    );
    let of = |columns, rules| before.lost_in(&Shape::of(columns, rules));
    let (a, b) = (column("a", false, false), column("b", true, false));
    assert_eq!(
        of(
            vec![
                a.clone(),
                b.clone(),
                column("c", true, false),
                column("d", false, true)
            ],
            vec![key.clone()]
        ),
        [""; 0]
    );
    let check = ("t".to_owned(), "CHECK (a <> '')".to_owned());
    for (columns, rules) in [
        (vec![a.clone()], vec![key.clone()]),
        (
            vec![a.clone(), column("b", false, false)],
            vec![key.clone()],
        ),
        (
            vec![a.clone(), b.clone(), column("c", false, false)],
            vec![key.clone()],
        ),
        (vec![a.clone(), b.clone()], vec![]),
        (vec![a, b], vec![key, check]),
    ] {
        assert_eq!(of(columns, rules).len(), 1);
    }
}

#[tokio::test]
async fn statements_of_older_programs_work_in_the_file_of_today() {
    let fixtures = statements("sqlite_");
    assert!(!fixtures.is_empty());
    for (version, statements) in fixtures {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state.db");
        let mut old = raw(&path).await;
        for migration in &migrations("src/store/migrations")[..version] {
            sqlx::raw_sql(sqlx::AssertSqlSafe(migration.clone()))
                .execute(&mut old)
                .await
                .unwrap();
        }
        let stamp = format!(
            "PRAGMA application_id = {}; PRAGMA user_version = {version}",
            0x7076_616c
        );
        sqlx::raw_sql(sqlx::AssertSqlSafe(stamp))
            .execute(&mut old)
            .await
            .unwrap();
        // The old program continues over the connection that it has.
        let store = SqliteStore::open(&url(&path), None).await.unwrap();
        sqlx::raw_sql(sqlx::AssertSqlSafe(statements))
            .execute(&mut old)
            .await
            .unwrap();
        has_taken(&store).await;
    }
}

/// A copy has all that the older store has, and the older one is as it was.
#[tokio::test]
async fn a_store_of_an_older_program_can_be_copied_without_being_changed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state.db");
    let mut old = raw(&path).await;
    for migration in &migrations("src/store/migrations")[..3] {
        let migration = sqlx::AssertSqlSafe(migration.clone());
        sqlx::raw_sql(migration).execute(&mut old).await.unwrap();
    }
    let stamp = format!(
        "PRAGMA application_id = {}; PRAGMA user_version = 3",
        0x7076_616c
    );
    let fill = format!("{stamp}; {}", include_str!("statements/sqlite_3.sql"));
    sqlx::raw_sql(sqlx::AssertSqlSafe(fill))
        .execute(&mut old)
        .await
        .unwrap();
    old.close().await.unwrap();
    let before = std::fs::read(&path).unwrap();
    let file = dir.path().join("copy.db");
    let copy = SqliteStore::upgraded_copy(&url(&path), &file)
        .await
        .unwrap();
    has_taken(&copy).await;
    assert_eq!(std::fs::read(&path).unwrap(), before);

    let database = Cluster::shared().database().await;
    for migration in &migrations("src/store/postgres/migrations")[..2] {
        database.run(migration).await;
    }
    let mut old = database.connect().await;
    let fill = include_str!("statements/postgres_2.sql");
    sqlx::raw_sql(fill).execute(&mut old).await.unwrap();
    use prevalidate::store::postgres::PostgresStore;
    let older = PostgresStore::open_to_copy(&database.url, None).await;
    let older = older.unwrap().unwrap();
    let into = SqliteStore::open("sqlite::memory:", None).await.unwrap();
    let all = prevalidate::store::Kind::ALL;
    into.restore(&older, &all, &|_, _| {}).await.unwrap();
    has_taken(&into).await;
    for kind in all {
        use prevalidate::store::record::content;
        let (was, is) = (content(&older, kind).await, content(&into, kind).await);
        assert_eq!(was.unwrap(), is.unwrap());
    }
    let newest = "SELECT max(version) FROM prevalidate_schema";
    assert_eq!(database.number(newest).await, 2, "it was only read");
}

#[tokio::test]
async fn statements_of_older_programs_work_in_the_database_of_today() {
    let fixtures = statements("postgres_");
    assert!(!fixtures.is_empty());
    for (version, statements) in fixtures {
        let database = Cluster::shared().database().await;
        for migration in &migrations("src/store/postgres/migrations")[..version] {
            database.run(migration).await;
        }
        let mut old = database.connect().await;
        let store = prevalidate::store::postgres::PostgresStore::open(&database.url, None, None)
            .await
            .unwrap();
        let newest = "SELECT usable_from FROM prevalidate_schema ORDER BY version DESC LIMIT 1";
        if usize::try_from(database.number(newest).await).unwrap() <= version {
            sqlx::raw_sql(sqlx::AssertSqlSafe(statements))
                .execute(&mut old)
                .await
                .unwrap();
            has_taken(&store).await;
            assert_eq!(
                store.notice_records().await.unwrap()[0]
                    .since
                    .as_microsecond(),
                5
            );
        }
    }
}
