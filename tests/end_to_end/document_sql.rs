//! What "Back up the MABS server" prints, run as it is printed: its SQL, with the place-holders filled in and the evident
//! misprints mended, and its examples of DpmSync. The rows lead to the database file, on either kind of database.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use resurgam_tests::{
    Database, Outcome, Part, Program, Random, Scene, args, assert_same, is_present,
    losing::{integrity_of, on_database},
    parts::run_tool,
    plain_tree,
};

/// Mended: a space after `order by`, no backslashes before underscores.
const VERSION: &str = "Select distinct MajorVersionNumber,MinorVersionNumber ,BuildNumber, FileName FROM dbo.tbl_AM_AgentPatch order by MajorVersionNumber,MinorVersionNumber,BuildNumber";

/// Of the sections on Azure and, word for word the same, on legacy storage.
const ONLINE_AND_LEGACY: &str = "Select ag.NetbiosName as ServerName,ds.DataSourceName,vol.MountPointPath
from tbl_IM_DataSource as ds
join tbl_PRM_LogicalReplica as lr on ds.DataSourceId=lr.DataSourceId
join tbl_AM_Server as ag on ds.ServerId=ag.ServerId
join tbl_SPM_Volume as vol on lr.PhysicalReplicaId=vol.VolumeSetID
and vol.Usage =1
and lr.Validity in (1,2)
where ds.datasourcename like '%dpmdb%'
and servername like '%dpmsqlservername%' --netbios name of server hosting DPMDB
";

/// Of the section on the storage pool.
const POOL: &str = "select AG.NetbiosName, DS.DatasourceName, V.AccessPath, LR.PhysicalReplicaId from tbl_IM_DataSource DS
join tbl_PRM_LogicalReplica as LR
on DS.DataSourceId = LR.DataSourceId
join tbl_AM_Server as AG
on DS.ServerId=AG.ServerId
join tbl_PRM_ReplicaVolume RV
on RV.ReplicaId = LR.PhysicalReplicaId
join tbl_STM_Volume V
on RV.StorageId = V.StorageId
where datasourcename like N'%dpmdb%' and ds.ProtectedGroupId is not null
and LR.Validity in (1,2)
and AG.ServerName like N'%<dpmsqlservername>%' -- <dpmsqlservername> is a placeholder, put netbios name of server hosting DPMDB
";

/// Of the section on a share.
const SHARE: &str = "Select ag.NetbiosName as
ServerName,ds.DataSourceName,vol.MountPointPath,vol.GuidName
from tbl_IM_DataSource as ds
join tbl_PRM_LogicalReplica as lr on ds.DataSourceId=lr.DataSourceId
join tbl_AM_Server as ag on ds.ServerId=ag.ServerId
join tbl_SPM_Volume as vol on lr.PhysicalReplicaId=vol.VolumeSetID
and vol.Usage =1
and lr.Validity in (1,2)
where ds.datasourcename like '%C:\\%' -- volume drive letter for DPMBACKUP
and servername like '%dpmsqlservername%' --netbios name of server hosting DPMDB

";

/// The first label of this machine's name: what the document calls the NetBIOS name.
fn netbios_name() -> String {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    name.trim().split('.').next().unwrap().to_owned()
}

fn filled_in(script: &str) -> String {
    script.replace("<dpmsqlservername>", &netbios_name()).replace("dpmsqlservername", &netbios_name())
}

/// A server with the share's folder, named as in the document, and two points of its catalog.
fn server(test: &str, seed: u64, catalog: Option<&Database>) -> Scene {
    let mut scene = Scene::new();
    if let Some(database) = catalog {
        fs::create_dir(&scene.home).unwrap();
        fs::write(scene.home.join("config.toml"), format!("catalog = \"{}\"\n", database.url())).unwrap();
    }
    scene.source = scene.path("MABSBACKUP");
    fs::create_dir(&scene.source).unwrap();
    plain_tree::build(&scene.source, plain_tree::Size::TINY, &mut Random::for_test(test, seed));
    scene.take_point();
    scene.program().run(args!["backup", "--source", "DPMDB"]).done();
    scene
}

fn query(scene: &Scene, script: &str) -> Outcome {
    let file = scene.path("script.sql");
    fs::write(&file, script).unwrap();
    scene.program().run(args!["catalog", "query", file])
}

/// The one row of an answer, by the names of its columns.
#[track_caller]
fn only_row<const N: usize>(outcome: &Outcome, columns: [&str; N]) -> [String; N] {
    let answer = outcome.done();
    assert_eq!(answer["columns"], serde_json::json!(columns.as_slice()), "{outcome}");
    assert_eq!(answer["rows"].as_array().map(Vec::len), Some(1), "{outcome}");
    std::array::from_fn(|column| answer["rows"][0][column].as_str().unwrap().to_owned())
}

/// The steps of "To copy the database from a previous recovery point": the replica's directory, its recovery points by
/// their ids, and each of them brought back from the volume alone.
fn assert_leads_to_the_database(scene: &Scene, replica: &Path) {
    let volume = replica.ancestors().find(|path| path.join("VOLUME.toml").exists()).unwrap();
    let points: Vec<String> = fs::read_dir(replica)
        .unwrap_or_else(|error| panic!("{}: {error}", replica.display()))
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name != "REPLICA.toml")
        .collect();
    assert_eq!(points.len(), 2, "{points:?}");
    for point in points {
        let to = scene.path(&format!("brought-back-{point}"));
        let reader = Program::new(scene.path("no-home"));
        reader.run(args!["reader", "recover", volume, point, "--to", to]).done();
        let copy = to.join("DPMDB.bak");
        let head = fs::read(&copy).unwrap();
        if head.starts_with(b"PGDMP") {
            let list = run_tool(Command::new("pg_restore").arg("--list").arg(&copy));
            assert!(list.contains("recovery_point"), "{list}");
        } else {
            assert_eq!(integrity_of(&copy), "ok");
            assert_eq!(on_database(&copy, "SELECT DataSourceName FROM tbl_IM_DataSource ORDER BY 1").len(), 2);
        }
        fs::remove_dir_all(to).unwrap();
    }
}

fn the_documents_scripts(scene: &Scene) {
    let netbios = netbios_name().to_uppercase();
    // "Do this after initial replication … so that you know which recovery point contains the MABS backup."
    let [server, source, mount_point] =
        only_row(&query(scene, &filled_in(ONLINE_AND_LEGACY)), ["ServerName", "DataSourceName", "MountPointPath"]);
    assert_eq!((server.as_str(), source.as_str()), (netbios.as_str(), "DPMDB"));
    assert_leads_to_the_database(scene, Path::new(&mount_point));

    // "Navigate to the DPMDB container directory <ReFSVolume>\<MABSServer FQDN>\<PhysicalReplicaId>."
    let [server, source, access_path, replica] =
        only_row(&query(scene, &filled_in(POOL)), ["NetbiosName", "DatasourceName", "AccessPath", "PhysicalReplicaId"]);
    assert_eq!((server.as_str(), source.as_str()), (netbios.as_str(), "DPMDB"));
    let [fqdn] = only_row(&query(scene, "SELECT ServerName FROM tbl_AM_Server"), ["ServerName"]);
    let container: PathBuf = [access_path, fqdn, replica.clone()].iter().collect();
    assert_eq!(container, Path::new(&mount_point));
    assert_leads_to_the_database(scene, &container);

    // Of the share it is the folder that was protected.
    let share = filled_in(SHARE).replace("C:\\", "/MABSBACKUP");
    let [server, source, mount_point, guid] =
        only_row(&query(scene, &share), ["ServerName", "DataSourceName", "MountPointPath", "GuidName"]);
    assert_eq!((server.as_str(), source.as_str()), (netbios.as_str(), scene.source.to_str().unwrap()));
    let replica = Path::new(&mount_point);
    assert!(replica.join("REPLICA.toml").is_file(), "{mount_point}");
    assert_eq!(guid, format!("\\\\?\\Volume{{{}}}\\", replica.file_name().unwrap().to_str().unwrap()));
    let point = scene.points().remove(0).id;
    assert!(replica.join(&point).is_file());

    let [major, minor, build, file] =
        only_row(&query(scene, VERSION), ["MajorVersionNumber", "MinorVersionNumber", "BuildNumber", "FileName"]);
    let version = run_tool(Command::new(Program::executable()).arg("--version"));
    assert_eq!(version.trim(), format!("resurgam {major}.{minor}.{build}"));
    assert!(!file.is_empty());
}

/// What is no single SELECT, in each database's words and in those of SQL Server.
const REFUSED: [&str; 17] = [
    "",
    "-- only a comment",
    "UPDATE data_source SET kind = 'x'",
    "DELETE FROM recovery_point",
    "INSERT INTO setting VALUES ('a', 'b')",
    "DROP TABLE replica",
    "TRUNCATE TABLE replica",
    "SELECT 1; SELECT 2",
    "SELECT 1; DELETE FROM recovery_point",
    "WITH gone AS (DELETE FROM recovery_point RETURNING *) SELECT * FROM gone",
    "WITH x AS (SELECT 1) DELETE FROM recovery_point",
    "PRAGMA writable_schema = ON",
    "ATTACH DATABASE 'thief.sqlite' AS thief",
    "SELECT * INTO thief FROM server",
    "EXEC sp_configure",
    "SELECT * FROM tbl_no_such_table",
    "SELECT 'never closed",
];

fn everything_else_is_refused(scene: &Scene, state: &dyn Fn() -> String) {
    let before = state();
    for statement in REFUSED {
        let outcome = query(scene, statement);
        let failure = outcome.failed();
        assert_eq!(outcome.code(), Some(1), "{statement}: {outcome}");
        assert!(!failure.code.contains("internal"), "{failure:?}");
        assert!(state() == before, "`{statement}` changed something");
    }
    let failure = scene.program().run(args!["catalog", "query", scene.path("no-such.sql")]).failed();
    assert!(failure.speaks_of(&["no-such.sql"]), "{failure:?}");
    scene.take_point();
}

#[test]
fn the_documents_scripts_lead_to_the_database_file_on_sqlite() {
    let scene = server("document_sql", 271, None);
    the_documents_scripts(&scene);
}

#[test]
fn the_documents_scripts_lead_to_the_database_file_on_postgresql() {
    if !is_present("the_documents_scripts_on_postgresql", &[Part::Postgres, Part::Tool("pg_restore")]) {
        return;
    }
    let database = Database::new();
    let scene = server("document_sql_postgres", 272, Some(&database));
    the_documents_scripts(&scene);
}

#[test]
fn anything_but_one_select_is_refused_and_changes_nothing_on_sqlite() {
    let scene = server("refused_sql", 273, None);
    let state = || on_database(&scene.catalog(), "SELECT * FROM recovery_point").join("\n");
    everything_else_is_refused(&scene, &state);
    assert!(!scene.path("thief.sqlite").exists() && !Path::new("thief.sqlite").exists());
}

#[test]
fn anything_but_one_select_is_refused_and_changes_nothing_on_postgresql() {
    if !is_present("anything_but_one_select_on_postgresql", &[Part::Postgres, Part::Tool("psql")]) {
        return;
    }
    let database = Database::new();
    let scene = server("refused_sql_postgres", 274, Some(&database));
    let state = || database.ask("SELECT * FROM recovery_point") + &database.ask("\\dt");
    everything_else_is_refused(&scene, &state);
}

#[test]
fn a_script_is_read_from_standard_input_as_windows_saves_it() {
    let scene = server("stdin_sql", 275, None);
    let file = scene.path("windows.sql");
    fs::write(&file, format!("\u{feff}{}", filled_in(POOL).replace('\n', "\r\n"))).unwrap();
    let mut command = scene.program().for_people().command(args!["catalog", "query", "-"]);
    let output = command.stdin(Stdio::from(fs::File::open(file).unwrap())).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && text.contains("AccessPath") && text.contains("DPMDB"), "{text}");
}

/// The program of MABS's name, which lies beside ours.
fn dpmsync(home: &Path) -> Program {
    Program::new(home).as_copy(Program::executable().with_file_name("dpmsync"))
}

/// The document's `G:\DPM\Backups\2005\November\DPMDB.bak`.
fn backup_media(scene: &Scene) -> PathBuf {
    let media = scene.path("DPM/Backups/2005/November");
    let made = scene.program().run(args!["catalog", "backup", "--to", media]).done();
    let file = media.join("DPMDB.bak");
    fs::rename(made["file"].as_str().unwrap(), &file).unwrap();
    file
}

#[test]
fn the_first_example_of_dpmsync_runs_as_printed() {
    let scene = server("first_example", 276, None);
    let media = backup_media(&scene);
    let known = scene.all_that_is_known();
    scene.lose_home();
    // "To restore the MABS database from local backup media on the MABS server", with the en dash that it is printed with.
    let dpmsync = dpmsync(&scene.home);
    let restored = dpmsync.run(args!["–RestoreDb", "-DbLoc", media]).done();
    assert_eq!(restored["restored"]["taken"]["id"], media.to_str().unwrap());
    assert_eq!(dpmsync.run(args!["-Sync"]).done()["clean"], true);
    let reallocated = dpmsync.run(args!["-ReallocateReplica"]).done();
    assert_eq!(reallocated["reallocated"].as_array().map(Vec::len), Some(0), "nothing is missing: {reallocated}");
    assert_eq!(scene.all_that_is_known(), known);
    assert_same(&scene.source, &scene.recovered("latest"));
    // As a command of the main program, in the spelling of the heading.
    scene.program().run(args!["DPMSYNC", "-RESTOREDB", "-DBLOC", media]).done();
    scene.program().run(args!["DpmSync", "-Sync"]).done();
    assert_eq!(scene.all_that_is_known(), known);
}

#[test]
fn the_second_example_of_dpmsync_restores_into_another_instance() {
    let scene = server("second_example", 277, None);
    let media = backup_media(&scene);
    let known = scene.all_that_is_known();
    // `contoso\ms$dpm` is the path of a database here.
    let instance = scene.path("contoso/ms$dpm");
    fs::create_dir_all(&instance).unwrap();
    scene.lose_home();
    let dpmsync = dpmsync(&scene.home);
    dpmsync.run(args!["–RestoreDb", "-DbLoc", media, "–InstanceName", instance]).done();
    assert!(instance.join("DPMDB.sqlite").is_file() && !scene.catalog().exists());
    assert_eq!(dpmsync.run(args!["-Sync"]).done()["clean"], true);
    dpmsync.run(args!["-ReallocateReplica"]).done();
    assert_eq!(scene.all_that_is_known(), known);
    assert_same(&scene.source, &scene.recovered("latest"));
}

#[test]
fn the_second_example_of_dpmsync_restores_into_postgresql_and_back() {
    if !is_present("the_second_example_of_dpmsync_on_postgresql", &[Part::Postgres, Part::Tool("pg_restore")]) {
        return;
    }
    let database = Database::new();
    let scene = server("second_example_postgres", 278, None);
    let media = backup_media(&scene);
    let known = scene.all_that_is_known();
    scene.lose_home();
    let run = dpmsync(&scene.home);
    run.run(args!["–RestoreDb", "-DbLoc", media, "–InstanceName", database.instance(), "-DpmDbName", database.name()])
        .done();
    assert!(!scene.catalog().exists(), "the catalog is elsewhere");
    assert_eq!(run.run(args!["-Sync"]).done()["clean"], true);
    assert_eq!(scene.all_that_is_known(), known);
    assert_same(&scene.source, &scene.recovered("latest"));
    assert_eq!(database.ask("SELECT count(*) FROM recovery_point").trim(), "3");

    // A pg_dump archive, and home to an SQLite file with it.
    let made = scene.program().run(args!["catalog", "backup", "--to", scene.path("archives")]).done();
    let archive = PathBuf::from(made["file"].as_str().unwrap());
    assert!(fs::read(&archive).unwrap().starts_with(b"PGDMP"));
    let known = scene.all_that_is_known();
    scene.lose_home();
    run.run(args!["–RestoreDb", "-DbLoc", archive]).done();
    assert!(scene.catalog().exists());
    assert_eq!(run.run(args!["-Sync"]).done()["clean"], true);
    assert_eq!(scene.all_that_is_known(), known);
}
