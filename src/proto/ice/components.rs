//! Several components as one connection (RFC 8445 section 4, "component"; the data streams of section 2 are
//! one here): a composition of one [`Agent`](super::Agent) for each.
//!
//! [`Components`] holds no agents. It is told what each of them reports, and says what they must be told:
//! which role all have, which component the peer does not have, and the state of the whole. So its owner may
//! keep the agents where it likes, as values or as actors. All agents of a composition are made with the same
//! credentials, role and tie-breaker.
//!
//! Invariants: pairs are made within a component only; a component that was removed never comes back; at
//! least one component stays.
//!
//! Deliberately not here: freezing across components (RFC 8445 section 6.1.2.6): each agent checks the
//! first pair of every foundation, under one common pace.

use std::collections::VecDeque;

use super::agent::State;
use super::config::Role;

/// Most components of a connection: each has sockets and an agent of its own. RTP and RTCP need two.
pub const MAX_COMPONENTS: u8 = 16;

/// What the owner of a composition must do or tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ComponentEvent {
    /// The state of the whole is another one.
    StateChanged(State),
    /// Every component has all of its local candidates.
    GatheringComplete,
    /// The agent of this component must be told this role.
    SetRole(u8, Role),
    /// The role of the whole is another one.
    RoleChanged(Role),
    /// The peer does not have this component: its agent is to be closed.
    Removed(u8),
}

#[derive(Debug)]
struct Component {
    number: u8,
    state: State,
    role: Role,
    has_remote_candidate: bool,
    is_gathered: bool,
}

/// The components of one connection.
#[derive(Debug)]
pub struct Components {
    list: Vec<Component>,
    role: Role,
    state: State,
    is_gathering_told: bool,
    has_all_remote_candidates: bool,
    is_closed: bool,
    events: VecDeque<ComponentEvent>,
}

impl Components {
    /// Components 1 to `count`, at least one and at most [`MAX_COMPONENTS`].
    pub fn new(count: u8, role: Role) -> Self {
        let component = |number| Component {
            number,
            state: State::New,
            role,
            has_remote_candidate: false,
            is_gathered: false,
        };
        Self {
            list: (1..=count.clamp(1, MAX_COMPONENTS)).map(component).collect(),
            role,
            state: State::New,
            is_gathering_told: false,
            has_all_remote_candidates: false,
            is_closed: false,
            events: VecDeque::new(),
        }
    }

    /// The components that are left.
    pub fn numbers(&self) -> impl Iterator<Item = u8> + '_ {
        self.list.iter().map(|component| component.number)
    }

    /// The state of the whole.
    pub fn state(&self) -> State {
        self.state
    }

    /// The role of all agents.
    pub fn role(&self) -> Role {
        self.role
    }

    /// Whether the peer has said that it has no more candidates.
    pub fn has_all_remote_candidates(&self) -> bool {
        self.has_all_remote_candidates
    }

    /// What is to be done next.
    pub fn poll_event(&mut self) -> Option<ComponentEvent> {
        // Two for each change of a component at most, and the owner takes them after every call.
        self.events.pop_front()
    }

    /// An agent reports its state.
    pub fn handle_state(&mut self, component: u8, state: State) {
        if let Some(known) = self.find(component) {
            known.state = state;
        }
        self.update_state();
    }

    /// An agent reports its role: RFC 8445 section 7.3.1.1 changes it for all, for a peer has one role.
    pub fn handle_role(&mut self, component: u8, role: Role) {
        let Some(known) = self.find(component) else { return };
        let is_news = known.role != role;
        known.role = role;
        if is_news {
            self.set_role(role);
        }
    }

    /// The role is decided by signalling, or by the agent of one component.
    pub fn set_role(&mut self, role: Role) {
        for component in &mut self.list {
            if component.role != role {
                component.role = role;
                self.events.push_back(ComponentEvent::SetRole(component.number, role));
            }
        }
        if self.role != role {
            self.role = role;
            self.events.push_back(ComponentEvent::RoleChanged(role));
        }
    }

    /// An agent has all of its local candidates.
    pub fn handle_gathered(&mut self, component: u8) {
        if let Some(known) = self.find(component) {
            known.is_gathered = true;
        }
        self.update_gathering();
    }

    /// The peer has signalled a candidate of this component, or one was discovered. False if there is no such
    /// component.
    pub fn handle_remote_candidate(&mut self, component: u8) -> bool {
        let known = self.find(component);
        let exists = known.is_some();
        if let Some(known) = known {
            known.has_remote_candidate = true;
        }
        exists
    }

    /// The peer has no more candidates: components without any are removed. Without candidates at all the first
    /// one stays, for the peer may still send checks (RFC 8863 section 3).
    pub fn end_of_remote_candidates(&mut self) {
        self.has_all_remote_candidates = true;
        let first = self.list.first().map(|component| component.number);
        let has_any = self.list.iter().any(|component| component.has_remote_candidate);
        let events = &mut self.events;
        self.list.retain(|component| {
            let stays = component.has_remote_candidate || (!has_any && Some(component.number) == first);
            if !stays {
                events.push_back(ComponentEvent::Removed(component.number));
            }
            stays
        });
        self.update_gathering();
        self.update_state();
    }

    /// An ICE restart (RFC 8445 section 9): candidates are gathered and signalled anew. Components that were
    /// removed stay away.
    pub fn restart(&mut self) {
        for component in &mut self.list {
            component.is_gathered = false;
            component.has_remote_candidate = false;
        }
        self.is_gathering_told = false;
        self.has_all_remote_candidates = false;
    }

    /// The peer has restarted: its candidates are to come anew.
    pub fn forget_remote(&mut self) {
        for component in &mut self.list {
            component.has_remote_candidate = false;
        }
        self.has_all_remote_candidates = false;
    }

    /// The owner closes the whole.
    pub fn close(&mut self) {
        self.is_closed = true;
        self.update_state();
    }

    fn find(&mut self, number: u8) -> Option<&mut Component> {
        self.list.iter_mut().find(|component| component.number == number)
    }

    fn update_gathering(&mut self) {
        if !self.is_gathering_told && self.list.iter().all(|component| component.is_gathered) {
            self.is_gathering_told = true;
            self.events.push_back(ComponentEvent::GatheringComplete);
        }
    }

    fn update_state(&mut self) {
        let state = self.derive_state();
        if state != self.state {
            self.state = state;
            self.events.push_back(ComponentEvent::StateChanged(state));
        }
    }

    /// As W3C derives the state of a connection from its transports: the worst counts first.
    fn derive_state(&self) -> State {
        let any = |state| self.list.iter().any(|component| component.state == state);
        let all = |state| self.list.iter().all(|component| component.state == state);
        if self.is_closed {
            State::Closed
        } else if any(State::Failed) || any(State::Closed) {
            State::Failed
        } else if any(State::Disconnected) {
            State::Disconnected
        } else if all(State::New) {
            State::New
        } else if any(State::New) || any(State::Checking) {
            State::Checking
        } else if all(State::Completed) {
            State::Completed
        } else {
            State::Connected
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events(components: &mut Components) -> Vec<ComponentEvent> {
        std::iter::from_fn(|| components.poll_event()).collect()
    }

    #[test]
    fn the_whole_is_connected_when_every_component_is() {
        let mut both = Components::new(2, Role::Controlling);
        both.handle_state(1, State::Checking);
        both.handle_state(2, State::Checking);
        both.handle_state(1, State::Connected);
        assert_eq!(both.state(), State::Checking);
        both.handle_state(2, State::Completed);
        assert_eq!(both.state(), State::Connected);
        both.handle_state(1, State::Completed);
        assert_eq!(
            events(&mut both),
            [State::Checking, State::Connected, State::Completed].map(ComponentEvent::StateChanged)
        );
    }

    #[test]
    fn one_component_that_fails_or_is_silent_decides_for_all() {
        let mut both = Components::new(2, Role::Controlling);
        for component in [1, 2] {
            both.handle_state(component, State::Connected);
        }
        both.handle_state(2, State::Disconnected);
        assert_eq!(both.state(), State::Disconnected);
        both.handle_state(2, State::Failed);
        assert_eq!(both.state(), State::Failed);
        both.close();
        assert_eq!(both.state(), State::Closed);
    }

    #[test]
    fn components_that_the_peer_does_not_have_are_removed_at_the_end_of_candidates() {
        let mut both = Components::new(2, Role::Controlling);
        both.handle_state(1, State::Connected);
        both.handle_state(2, State::Checking);
        assert!(both.handle_remote_candidate(1));
        assert!(!both.handle_remote_candidate(3));
        assert_eq!(both.state(), State::Checking);
        both.end_of_remote_candidates();
        assert_eq!(both.state(), State::Connected);
        assert!(events(&mut both).contains(&ComponentEvent::Removed(2)));
        assert_eq!(both.numbers().collect::<Vec<_>>(), [1]);
        both.handle_state(2, State::Closed);
        assert_eq!(both.state(), State::Connected, "what was removed has no say");
    }

    #[test]
    fn without_any_candidate_the_first_component_stays() {
        let mut both = Components::new(2, Role::Controlling);
        both.end_of_remote_candidates();
        assert_eq!(both.numbers().collect::<Vec<_>>(), [1]);
    }

    #[test]
    fn a_role_that_one_agent_takes_is_the_role_of_all() {
        let mut three = Components::new(3, Role::Controlling);
        three.handle_role(2, Role::Controlled);
        assert_eq!(
            events(&mut three),
            [
                ComponentEvent::SetRole(1, Role::Controlled),
                ComponentEvent::SetRole(3, Role::Controlled),
                ComponentEvent::RoleChanged(Role::Controlled)
            ]
        );
        three.handle_role(1, Role::Controlled);
        assert!(events(&mut three).is_empty(), "an echo changes nothing");
    }

    #[test]
    fn gathering_is_complete_when_every_component_has_gathered() {
        let mut both = Components::new(2, Role::Controlling);
        both.handle_gathered(2);
        assert!(events(&mut both).is_empty());
        both.handle_gathered(1);
        assert_eq!(events(&mut both), [ComponentEvent::GatheringComplete]);
        both.restart();
        both.handle_gathered(1);
        both.handle_gathered(2);
        assert_eq!(events(&mut both), [ComponentEvent::GatheringComplete]);
    }

    #[test]
    fn the_number_of_components_is_limited() {
        assert_eq!(Components::new(0, Role::Controlled).numbers().count(), 1);
        assert_eq!(Components::new(u8::MAX, Role::Controlled).numbers().count(), usize::from(MAX_COMPONENTS));
    }
}
