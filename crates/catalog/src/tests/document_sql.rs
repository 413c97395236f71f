//! The document's SQL, as it is printed: with its place-holders filled in and its evident misprints mended (a missing
//! space after `order by`, backslashes before underscores). On either database.

use resurgam_model::replica::ReplicaState;

use super::{Place, charter::fill, shared::*};
use crate::{Catalog, Fault, QueryResult, ServerRecord};

const VERSION: &str = "Select distinct MajorVersionNumber,MinorVersionNumber ,BuildNumber, FileName FROM dbo.tbl_AM_AgentPatch order by MajorVersionNumber,MinorVersionNumber,BuildNumber";

const LEGACY: &str = "Select ag.NetbiosName as ServerName,ds.DataSourceName,vol.MountPointPath
from tbl_IM_DataSource as ds
join tbl_PRM_LogicalReplica as lr on ds.DataSourceId=lr.DataSourceId
join tbl_AM_Server as ag on ds.ServerId=ag.ServerId
join tbl_SPM_Volume as vol on lr.PhysicalReplicaId=vol.VolumeSetID
and vol.Usage =1
and lr.Validity in (1,2)
where ds.datasourcename like '%dpmdb%'
and servername like '%BACKUP1%' --netbios name of server hosting DPMDB
";

const MODERN: &str =
    "select AG.NetbiosName, DS.DatasourceName, V.AccessPath, LR.PhysicalReplicaId from tbl_IM_DataSource DS
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
and AG.ServerName like N'%backup1%' -- <dpmsqlservername> is a placeholder, put netbios name of server hosting DPMDB
";

const SHARE: &str = "Select ag.NetbiosName as
ServerName,ds.DataSourceName,vol.MountPointPath,vol.GuidName
from tbl_IM_DataSource as ds
join tbl_PRM_LogicalReplica as lr on ds.DataSourceId=lr.DataSourceId
join tbl_AM_Server as ag on ds.ServerId=ag.ServerId
join tbl_SPM_Volume as vol on lr.PhysicalReplicaId=vol.VolumeSetID
and vol.Usage =1
and lr.Validity in (1,2)
where ds.datasourcename like '%C:\\%' -- volume drive letter for DPMBACKUP
and servername like '%backup1%' --netbios name of server hosting DPMDB

";

/// The server's name needs all that a name can: a domain, and characters that no directory has.
fn filled(place: &Place) -> Catalog {
    let catalog = place.open();
    fill(&catalog);
    catalog.set_server(&ServerRecord { name: "backup1.exämple.org".to_owned(), ..server(1) }).unwrap();
    catalog.set_replica_state(replica(6, &source(4, &group(2)), &volume(1)).id, ReplicaState::Valid, None).unwrap();
    let mut share = source(1, &group(1));
    share.root = b"/srv/C:\\share".to_vec();
    catalog.put_source(&share).unwrap();
    catalog
}

fn table(answer: &QueryResult) -> Vec<Vec<&str>> {
    answer.rows.iter().map(|row| row.iter().map(|cell| cell.as_deref().unwrap_or("NULL")).collect()).collect()
}

pub(crate) fn the_documents_scripts_lead_to_the_replica(place: &Place) {
    let catalog = filled(place);
    let id = replica(6, &source(4, &group(2)), &volume(1)).id.to_string();
    let path = format!("/pool/1/replicas/backup1.ex_mple.org/{id}");
    // The script of the section on Azure, which is also that of the section on legacy storage.
    let answer = catalog.query(LEGACY).unwrap();
    assert_eq!(answer.columns, ["ServerName", "DataSourceName", "MountPointPath"]);
    assert_eq!(table(&answer), [["BACKUP1", "DPMDB", &path]]);
    let answer = catalog.query(MODERN).unwrap();
    assert_eq!(answer.columns, ["NetbiosName", "DatasourceName", "AccessPath", "PhysicalReplicaId"]);
    assert_eq!(table(&answer), [["BACKUP1", "DPMDB", "/pool/1/replicas", &id]]);
    // Here the backslash must not be taken to escape what follows.
    let answer = catalog.query(SHARE).unwrap();
    let share = replica(1, &source(1, &group(1)), &volume(1)).id;
    let path = format!("/pool/1/replicas/backup1.ex_mple.org/{share}");
    let guid = format!("\\\\?\\Volume{{{share}}}\\");
    assert_eq!(answer.columns, ["ServerName", "DataSourceName", "MountPointPath", "GuidName"]);
    assert_eq!(table(&answer), [["BACKUP1", "/srv/C:\\x5cshare", &path, &guid]]);
}

pub(crate) fn the_documents_version_query_runs(place: &Place) {
    let answer = filled(place).query(VERSION).unwrap();
    assert_eq!(answer.columns, ["MajorVersionNumber", "MinorVersionNumber", "BuildNumber", "FileName"]);
    let version: Vec<&str> = env!("CARGO_PKG_VERSION").split('.').chain(["resurgam"]).collect();
    assert_eq!(table(&answer), [version]);
}

pub(crate) fn only_one_select_is_let_through(place: &Place) {
    let catalog = filled(place);
    let before = catalog.rows().unwrap();
    let refused = [
        "",
        "-- nothing",
        "SELECT 1; SELECT 2",
        "DELETE FROM replica",
        "UPDATE data_source SET kind = 'x'",
        "INSERT INTO setting VALUES ('a', 'b')",
        "DROP TABLE replica",
        "CREATE TABLE a (b int)",
        "SELECT * INTO thief FROM server",
        "WITH gone AS (DELETE FROM setting RETURNING *) SELECT * FROM gone",
        "PRAGMA query_only = OFF",
        "ATTACH 'x' AS y",
        "EXEC sp_who",
        "SELECT * FROM replica FOR UPDATE",
        "SELECT 'unclosed",
        "SELECT nobody FROM tbl_AM_Server",
        "SELECT * FROM tbl_no_such",
        "SELECT * FROM tbl_AM_Server WHERE",
        "SELECT TOP 5 PERCENT * FROM tbl_AM_Server",
    ];
    for sql in refused {
        let error = catalog.query(sql).unwrap_err();
        assert!(matches!(error.fault, Fault::Refused(_)), "{sql}: {error}");
    }
    let text = catalog.query("SELECT nobody FROM tbl_AM_Server").unwrap_err().to_string();
    assert!(text.contains("nobody") && text.contains("tbl_AM_Server"), "{text}");
    let (deep, long) =
        (format!("SELECT {}1{}", "(".repeat(5000), ")".repeat(5000)), format!("SELECT 1{}", "+1".repeat(8000)));
    assert!(matches!(fault(catalog.query(&deep)), Fault::Refused(_)));
    let _ = catalog.query(&long);
    assert!(matches!(fault(catalog.query(&long.repeat(2))), Fault::Refused(_)));
    // And after all that the catalog can still be written.
    assert_eq!(catalog.rows().unwrap(), before);
    catalog.set_setting("a", "b").unwrap();
}

pub(crate) fn the_dialect_is_translated(place: &Place) {
    let catalog = filled(place);
    let one = |sql: &str| {
        let answer = catalog.query(sql).unwrap_or_else(|e| panic!("{sql}: {e}"));
        answer.rows.iter().flatten().map(|cell| cell.clone().unwrap_or("NULL".to_owned())).collect::<Vec<_>>().join(",")
    };
    assert_eq!(one("SELECT TOP 1 FriendlyName FROM DPMDB.dbo.tbl_IM_ProtectedGroup ORDER BY FriendlyName"), "Group 1");
    assert_eq!(
        one("SELECT TOP (2) FriendlyName FROM DPMDB..tbl_IM_ProtectedGroup ORDER BY FriendlyName DESC"),
        "Group 3,Group 2"
    );
    assert_eq!(
        one("SELECT [friendlyname] FROM [dbo].[TBL_IM_ProtectedGroup] WHERE [FRIENDLYNAME] LIKE N'%UP 2'"),
        "Group 2"
    );
    assert_eq!(one("SELECT dbo.tbl_AM_Server.NetbiosName FROM dbo.tbl_AM_Server;"), "BACKUP1");
    assert_eq!(
        one(
            "SELECT FriendlyName FROM tbl_IM_ProtectedGroup WHERE FriendlyName NOT LIKE '%1' AND FriendlyName NOT LIKE '%3'"
        ),
        "Group 2"
    );
    assert_eq!(one("SELECT NULL, 1, 2.5, N'it''s', '\\'"), "NULL,1,2.5,it's,\\");
    assert_eq!(one("SELECT count(*) FROM (SELECT TOP 2 * FROM tbl_IM_DataSource) x"), "2");
    assert_eq!(one("SELECT public_key FROM server"), "0x0001ff");
    let all = catalog.query("SELECT * FROM tbl_AM_Server").unwrap();
    assert_eq!(
        all.columns.iter().map(|c| c.to_lowercase()).collect::<Vec<_>>(),
        ["serverid", "servername", "netbiosname"]
    );
    assert_eq!(catalog.query("SELECT ServerId FROM tbl_AM_Server WHERE 1 = 2").unwrap().rows.len(), 0);
}

pub(crate) fn validity_says_how_a_replica_stands(place: &Place) {
    let catalog = place.open();
    let replica = replica_in(&catalog, 1);
    catalog.set_server(&server(1)).unwrap();
    let wanted = [
        (ReplicaState::Valid, "2"),
        (ReplicaState::Inconsistent, "1"),
        (ReplicaState::Stopped, "5"),
        (ReplicaState::CreationPending, "3"),
        (ReplicaState::ManualCreationPending, "3"),
        (ReplicaState::Missing, "4"),
    ];
    for (state, validity) in wanted {
        catalog.set_replica_state(replica.id, state, None).unwrap();
        assert_eq!(
            table(&catalog.query("SELECT Validity FROM tbl_PRM_LogicalReplica").unwrap()),
            [[validity]],
            "{state}"
        );
        let protected = catalog.query("SELECT ProtectedGroupId FROM tbl_IM_DataSource").unwrap();
        assert_eq!(protected.rows[0][0].is_none(), state == ReplicaState::Stopped, "{state}");
    }
}

pub(crate) fn views_cannot_be_written(place: &Place) {
    filled(place);
    for statement in ["DELETE FROM tbl_AM_AgentPatch", "UPDATE tbl_IM_ProtectedGroup SET FriendlyName = 'x'"] {
        assert!(place.try_sql(statement).is_err(), "{statement}");
    }
}
