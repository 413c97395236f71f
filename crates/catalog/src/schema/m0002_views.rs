//! The document's names as views: what its SQL asks for, answered from our tables.
//!
//! | column | what stands there |
//! |---|---|
//! | `Validity` | 1 inconsistent, 2 valid, 5 protection stopped, as in MABS; 3 creation pending and 4 missing are ours |
//! | `ProtectedGroupId` | nothing once protection is stopped |
//! | `MountPointPath` | the replica's directory in its volume |
//! | `AccessPath` | the directory of all replicas in the volume: `AccessPath`, the server's directory and the replica's id make the path |
//! | `GuidName` | the form that the document prints; here it names the replica by its id |

use sea_orm::DbBackend;

/// The statements that make the views, in order.
pub(super) fn views(backend: DbBackend) -> Vec<String> {
    // PostgreSQL would let one write through a view this simple; not through one with an offset.
    let read_only = if backend == DbBackend::Postgres { " OFFSET 0" } else { "" };
    let first_label = match backend {
        DbBackend::Postgres => "upper(split_part(name, '.', 1))",
        _ => "upper(substr(name, 1, instr(name || '.', '.') - 1))",
    };
    let replica_path = "v.location || '/replicas/' || s.directory || '/' || r.id";
    let stopped = "EXISTS (SELECT 1 FROM replica r WHERE r.source_id = d.id AND r.state = 'stopped') \
         AND NOT EXISTS (SELECT 1 FROM replica r WHERE r.source_id = d.id AND r.state NOT IN ('stopped', 'missing'))";
    let views = [
        (
            "tbl_IM_ProtectedGroup",
            "SELECT id AS ProtectedGroupId, name AS FriendlyName FROM protection_group".to_owned(),
        ),
        (
            "tbl_IM_DataSource",
            format!(
                "SELECT d.id AS DataSourceId, d.root_text AS DataSourceName, (SELECT id FROM server) AS ServerId, \
                 CASE WHEN {stopped} THEN NULL ELSE d.group_id END AS ProtectedGroupId FROM data_source d"
            ),
        ),
        (
            "tbl_PRM_LogicalReplica",
            "SELECT source_id AS DataSourceId, id AS PhysicalReplicaId, CASE state WHEN 'inconsistent' THEN 1 \
             WHEN 'valid' THEN 2 WHEN 'missing' THEN 4 WHEN 'stopped' THEN 5 ELSE 3 END AS Validity FROM replica"
                .to_owned(),
        ),
        (
            "tbl_AM_Server",
            format!("SELECT id AS ServerId, name AS ServerName, {first_label} AS NetbiosName FROM server"),
        ),
        (
            "tbl_SPM_Volume",
            format!(
                "SELECT r.id AS VolumeSetID, 1 AS Usage, {replica_path} AS MountPointPath, \
                 '\\\\?\\Volume{{' || r.id || '}}\\' AS GuidName \
                 FROM replica r JOIN volume v ON v.id = r.volume_id CROSS JOIN server s"
            ),
        ),
        ("tbl_PRM_ReplicaVolume", "SELECT id AS ReplicaId, volume_id AS StorageId FROM replica".to_owned()),
        ("tbl_STM_Volume", "SELECT id AS StorageId, location || '/replicas' AS AccessPath FROM volume".to_owned()),
        (
            "tbl_AM_AgentPatch",
            "SELECT major AS MajorVersionNumber, minor AS MinorVersionNumber, build AS BuildNumber, \
             file_name AS FileName FROM agent_patch"
                .to_owned(),
        ),
    ];
    views.into_iter().map(|(name, select)| format!("CREATE VIEW {name} AS {select}{read_only}")).collect()
}
