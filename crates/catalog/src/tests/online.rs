//! What lies in the pool and what lies in vaults is asked for apart, on either database.

use resurgam_model::role::VolumeRole;

use super::{Place, shared::*};
use crate::{Fault, VolumeRecord};

pub(crate) fn the_pool_and_the_vaults_are_asked_for_apart(place: &Place) {
    let catalog = place.open();
    let on_disk = replica_in(&catalog, 1);
    let part = VolumeRecord { role: VolumeRole::Vault, ..volume(7) };
    catalog.put_volume(&part).unwrap();
    let online = replica(8, &source(1, &group(1)), &part);
    catalog.put_replica(&online).unwrap();
    catalog.add_points(&[point(1, &on_disk), point(2, &on_disk), point(3, &online)]).unwrap();
    assert_eq!(catalog.replicas().unwrap(), std::slice::from_ref(&on_disk));
    assert_eq!(catalog.replicas_in(VolumeRole::Vault).unwrap(), std::slice::from_ref(&online));
    assert_eq!(catalog.every_replica().unwrap().len(), 2);
    assert_eq!(catalog.volumes().unwrap().len(), 2);
    assert_eq!(catalog.pool().unwrap(), [volume(1)]);
    let ids = |entries: Vec<crate::PointEntry>| entries.into_iter().map(|entry| entry.id).collect::<Vec<_>>();
    let source = Some(on_disk.source);
    assert_eq!(ids(catalog.point_entries(source).unwrap()), [point(1, &on_disk).entry.id, point(2, &on_disk).entry.id]);
    assert_eq!(ids(catalog.online_entries(None).unwrap()), [point(3, &online).entry.id]);
    assert_eq!(catalog.every_entry(source).unwrap().len(), 3);
    // The newest is the newest in the pool.
    assert_eq!(catalog.latest_point(on_disk.source).unwrap().unwrap().entry.id, point(2, &on_disk).entry.id);
    let vaults = catalog.query("SELECT COUNT(*) FROM tbl_PRM_LogicalReplica").unwrap();
    assert_eq!(vaults.rows, [[Some("1".to_owned())]]);
    assert!(matches!(fault(catalog.remove_vault(resurgam_model::VaultId::from_bytes([1; 16]))), Fault::NotFound(_)));
}
