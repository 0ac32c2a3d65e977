//! Watches the addresses of this host for the connections that send from them: one that is gone is told within
//! [`INTERVAL`], and at once when the kernel refuses to send from it; consent would take ten seconds and more to notice.
//!
//! One per shard, asked by its actor: what it costs does not grow with the number of peers.

use std::{
    cell::{Cell, RefCell},
    collections::{HashMap, HashSet},
    io,
    net::{IpAddr, SocketAddr},
    rc::Rc,
    time::{Duration, Instant},
};

use super::{
    PeerKey,
    interfaces::{HostAddress, InterfaceAddress, NetworkConfig, admitted, list_interfaces},
};

/// Between two looks at the interfaces.
const INTERVAL: Duration = Duration::from_secs(2);
/// The same when the kernel refuses to send, which a flood of packets may make it say again and again.
const MIN_INTERVAL: Duration = Duration::from_millis(200);

/// How long what the interfaces have is remembered for those who gather: asking the kernel costs as much as
/// all else that gathering does, and peers come by the hundred.
const REMEMBERED: Duration = Duration::from_millis(100);

/// Lists the addresses that can be sent from.
pub type ListAddresses = Box<dyn Fn() -> io::Result<Vec<IpAddr>>>;

/// Hears that an address is lost. Holds its owner weakly.
pub type TellAddressLost = Rc<dyn Fn(IpAddr)>;

struct Watcher {
    local: IpAddr,
    remote: SocketAddr,
    tell: TellAddressLost,
    is_told: bool,
}

/// Who sends from which address.
pub struct AddressWatch {
    list: ListAddresses,
    watchers: RefCell<HashMap<PeerKey, Watcher>>,
    checked: Cell<Option<Instant>>,
    is_urgent: Cell<bool>,
    interfaces: RefCell<Option<(Instant, Vec<InterfaceAddress>)>>,
}

impl Default for AddressWatch {
    /// Of the addresses of this host.
    fn default() -> Self {
        Self::new(Box::new(|| {
            let interfaces = if_addrs::get_if_addrs()?.into_iter().filter(|interface| interface.is_oper_up());
            Ok(interfaces.map(|interface| interface.ip()).collect())
        }))
    }
}

impl AddressWatch {
    /// Of the addresses that `list` lists.
    pub fn new(list: ListAddresses) -> Self {
        Self {
            list,
            watchers: RefCell::default(),
            checked: Cell::default(),
            is_urgent: Cell::default(),
            interfaces: RefCell::default(),
        }
    }

    /// The host's addresses that `config` allows, best first, without duplicates: as they were `REMEMBERED` ago at
    /// most, and not before the last sign that one is lost.
    ///
    /// # Errors
    /// When the operating system refuses to list its interfaces.
    pub fn host_addresses(&self, now: Instant, config: &NetworkConfig) -> io::Result<Vec<HostAddress>> {
        let mut remembered = self.interfaces.borrow_mut();
        let fresh = remembered.take().filter(|(at, _)| now.saturating_duration_since(*at) < REMEMBERED);
        let (at, listed) = match fresh {
            Some(fresh) => fresh,
            None => (now, list_interfaces()?),
        };
        let addresses = admitted(config, &listed);
        *remembered = Some((at, listed));
        Ok(addresses)
    }

    /// `key` sends from `local` to `remote` from now on, and hears by `tell` when it can't any more: once, until the
    /// address was there again.
    pub fn watch(&self, key: PeerKey, local: IpAddr, remote: SocketAddr, tell: TellAddressLost) {
        self.watchers.borrow_mut().insert(key, Watcher { local, remote, tell, is_told: false });
    }

    /// `key` sends nothing any more.
    pub fn forget(&self, key: PeerKey) {
        self.watchers.borrow_mut().remove(&key);
    }

    /// The kernel has refused to send from an address. `is_unreachable`: because no way leads to the destination; who
    /// sends there is told at once.
    pub fn refused(&self, source: Option<IpAddr>, destination: SocketAddr, is_unreachable: bool) {
        self.is_urgent.set(true);
        self.interfaces.replace(None);
        if is_unreachable {
            self.tell(|watcher| watcher.remote == destination && source.is_none_or(|ip| ip == watcher.local));
        }
    }

    /// When to look at the interfaces.
    pub fn poll_timeout(&self) -> Option<Instant> {
        if self.watchers.borrow().is_empty() {
            return None;
        }
        let interval = if self.is_urgent.get() { MIN_INTERVAL } else { INTERVAL };
        self.checked.get().map(|at| at + interval)
    }

    /// Looks at the interfaces if it is time to, or starts to keep the time.
    pub fn handle_timeout(&self, now: Instant) {
        match self.poll_timeout() {
            Some(at) if at > now => return,
            None if self.checked.get().is_some() || self.watchers.borrow().is_empty() => return,
            _ => {}
        }
        self.checked.set(Some(now));
        self.is_urgent.set(false);
        self.interfaces.replace(None);
        // Without a list nothing is known to be lost.
        let Ok(present) = (self.list)() else { return };
        let present: HashSet<IpAddr> = present.into_iter().collect();
        for watcher in self.watchers.borrow_mut().values_mut() {
            if present.contains(&watcher.local) {
                watcher.is_told = false;
            }
        }
        self.tell(|watcher| !present.contains(&watcher.local));
    }

    fn tell(&self, is_lost: impl Fn(&Watcher) -> bool) {
        let mut lost = Vec::new();
        for watcher in self.watchers.borrow_mut().values_mut() {
            if !watcher.is_told && is_lost(watcher) {
                watcher.is_told = true;
                lost.push((Rc::clone(&watcher.tell), watcher.local));
            }
        }
        // Whoever hears it may want to change what is watched.
        for (tell, local) in lost {
            tell(local);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Scene {
        watch: AddressWatch,
        present: Rc<RefCell<Vec<IpAddr>>>,
        told: Rc<RefCell<Vec<PeerKey>>>,
        now: Instant,
    }

    fn ip(last: u8) -> IpAddr {
        [192, 0, 2, last].into()
    }

    const REMOTE: SocketAddr = SocketAddr::new(IpAddr::V4(std::net::Ipv4Addr::new(198, 51, 100, 1)), 5_000);

    impl Scene {
        /// Two addresses, one peer on each.
        fn new() -> Self {
            let present = Rc::new(RefCell::new(vec![ip(1), ip(2)]));
            let listed = Rc::clone(&present);
            let watch = AddressWatch::new(Box::new(move || Ok(listed.borrow().clone())));
            let scene = Self { watch, present, told: Rc::default(), now: Instant::now() };
            assert_eq!(scene.watch.poll_timeout(), None, "nobody sends: nothing is looked at");
            for last in [1, 2] {
                let told = Rc::clone(&scene.told);
                let key = PeerKey(last.into());
                scene.watch.watch(key, ip(last), REMOTE, Rc::new(move |_| told.borrow_mut().push(key)));
            }
            scene.watch.handle_timeout(scene.now);
            scene
        }

        fn advance(&mut self) -> Duration {
            let at = self.watch.poll_timeout().unwrap();
            let waited = at.saturating_duration_since(self.now);
            self.now = self.now.max(at);
            self.watch.handle_timeout(self.now);
            waited
        }
    }

    #[test]
    fn a_lost_address_is_told_to_who_sends_from_it_within_two_seconds_and_once() {
        let mut scene = Scene::new();
        scene.present.borrow_mut().remove(0);
        assert_eq!(scene.advance(), INTERVAL);
        assert_eq!(scene.told.borrow()[..], [PeerKey(1)]);
        scene.advance();
        assert_eq!(scene.told.borrow().len(), 1);
        // It comes back, and goes again.
        scene.present.borrow_mut().push(ip(1));
        scene.advance();
        scene.present.borrow_mut().pop();
        scene.advance();
        assert_eq!(scene.told.borrow()[..], [PeerKey(1), PeerKey(1)]);
        scene.watch.forget(PeerKey(1));
        scene.watch.forget(PeerKey(2));
        assert_eq!(scene.watch.poll_timeout(), None);
    }

    #[test]
    fn what_the_interfaces_have_is_remembered_until_it_is_old_or_a_sign_of_change_comes() {
        let scene = Scene::new();
        let config = NetworkConfig { include_loopback: true, ..NetworkConfig::default() };
        let made_up = InterfaceAddress { name: "made-up".to_owned(), ip: ip(9) };
        let offers_it = |at: Instant| {
            let offered = scene.watch.host_addresses(at, &config).unwrap();
            offered.iter().any(|address| address.internal == ip(9))
        };
        let remember = || scene.watch.interfaces.replace(Some((scene.now, vec![made_up.clone()])));
        remember();
        assert!(offers_it(scene.now + REMEMBERED / 2));
        assert!(!offers_it(scene.now + REMEMBERED));
        remember();
        scene.watch.refused(Some(ip(1)), REMOTE, false);
        assert!(!offers_it(scene.now));
        remember();
        scene.watch.handle_timeout(scene.now + INTERVAL);
        assert!(!offers_it(scene.now));
    }

    #[test]
    fn a_refused_datagram_makes_it_look_sooner_and_an_unreachable_one_is_told_at_once() {
        let mut scene = Scene::new();
        scene.watch.refused(Some(ip(2)), REMOTE, false);
        scene.watch.refused(Some(ip(2)), REMOTE, false);
        assert!(scene.told.borrow().is_empty());
        assert_eq!(scene.advance(), MIN_INTERVAL, "a flood of refusals is no flood of looks");
        assert!(scene.told.borrow().is_empty(), "the address is there");
        scene.watch.refused(Some(ip(2)), "198.51.100.9:1".parse().unwrap(), true);
        assert!(scene.told.borrow().is_empty(), "another peer's destination");
        scene.watch.refused(Some(ip(2)), REMOTE, true);
        assert_eq!(scene.told.borrow()[..], [PeerKey(2)]);
    }
}
