//! (to come)
/// x
pub struct Conflict; 
/// x
pub struct Restore; 
/// x
pub struct Restored; 
/// x
pub fn restore() {}
