//! The table of routes: what is served, to whom, and within which bounds. The router is made from it, and tests, the
//! documentation and the health page read it.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::handler::Handler;
use axum::http::Method;
use axum::routing::{self, MethodRouter};

use super::Priority;
use crate::controls::Part;
use crate::limits::Class;

/// Who may call a route. The check itself is made where the caller is known; this says which one it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Access {
    /// Anybody, without a token.
    Public,
    /// A member of an organisation, with any role.
    Session,
    /// A member who manages members and API keys.
    Admin,
    /// A member who manages the organisation itself.
    Owner,
    /// Whoever runs the installation.
    Operator,
}

/// The bounds of a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Who may call it.
    pub access: Access,
    /// The largest body, in bytes, where that is not `http.max_body_bytes`.
    pub body: Option<usize>,
    /// How long it may take until the head of its response, where that is not `http.request_timeout_ms`.
    pub deadline: Option<Duration>,
    /// The most SQL statements that it may need.
    pub statements: u32,
    /// How long it is served while there is too much to do, where that does not follow from the method.
    pub priority: Option<Priority>,
    /// What it is limited as.
    pub limit: Class,
    /// The part that it belongs to, where an operator can turn it off.
    pub part: Option<Part>,
    /// Whether what it changes is written into the audit trail, where its caller is let in as one who manages something.
    pub audited: bool,
}

impl Policy {
    /// A route for this access with the usual bounds, which runs no SQL: limited by address where anybody may call it,
    /// else as what has no class of its own.
    #[must_use]
    pub const fn new(access: Access) -> Self {
        let limit = if matches!(access, Access::Public) { Class::Public } else { Class::Other };
        Self { access, body: None, deadline: None, statements: 0, priority: None, limit, part: None, audited: true }
    }

    /// Sets the largest body, in bytes.
    #[must_use]
    pub const fn body(mut self, bytes: usize) -> Self {
        self.body = Some(bytes);
        self
    }

    /// Sets the time until the head of the response.
    #[must_use]
    pub const fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// Leaves what it does out of the audit trail: it brings what others have done, as often as they do it.
    #[must_use]
    pub const fn brings_data(mut self) -> Self {
        self.audited = false;
        self
    }

    /// Sets the most SQL statements.
    #[must_use]
    pub const fn statements(mut self, statements: u32) -> Self {
        self.statements = statements;
        self
    }

    /// Sets how long it is served while there is too much to do.
    #[must_use]
    pub const fn priority(mut self, priority: Priority) -> Self {
        self.priority = Some(priority);
        self
    }

    /// Sets what it is limited as.
    #[must_use]
    pub const fn limit(mut self, class: Class) -> Self {
        self.limit = class;
        self
    }

    /// Sets the part that it belongs to: while that is off, it is refused before anything is done.
    #[must_use]
    pub const fn part(mut self, part: Part) -> Self {
        self.part = Some(part);
        self
    }
}

/// One line of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteSpec {
    /// The method. A GET route answers HEAD too.
    pub method: Method,
    /// The path with its parameters: `/v1/conversations/{id}`.
    pub path: &'static str,
    /// Its bounds.
    pub policy: Policy,
}

/// The table without its handlers: what the stack is told.
#[derive(Clone, Debug)]
pub struct RouteTable(Arc<[RouteSpec]>);

impl RouteTable {
    /// Every line, in the order in which they were added.
    #[must_use]
    pub fn routes(&self) -> &[RouteSpec] {
        &self.0
    }
}

/// Two lines of the table that cannot both hold. A programming error, which a test of the whole table finds.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct RouteFault(String);

/// Collects the routes of the service.
pub struct Routes<S = ()> {
    router: Router<S>,
    table: Vec<RouteSpec>,
    /// The shape of a path (its parameters without their names) and the path that has it.
    shapes: BTreeMap<String, &'static str>,
    fault: Option<RouteFault>,
}

impl<S: Clone + Send + Sync + 'static> Default for Routes<S> {
    fn default() -> Self {
        Self { router: Router::new(), table: Vec::new(), shapes: BTreeMap::new(), fault: None }
    }
}

macro_rules! methods {
    ($($(#[$doc:meta])* $name:ident = $method:ident;)+) => { $(
        $(#[$doc])*
        #[must_use]
        pub fn $name<H, T>(self, path: &'static str, handler: H, policy: Policy) -> Self
        where
            H: Handler<T, S>,
            T: 'static,
        {
            self.add(Method::$method, path, routing::$name(handler), policy)
        }
    )+ };
}

impl<S: Clone + Send + Sync + 'static> Routes<S> {
    /// No routes yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    methods! {
        /// Adds a GET route.
        get = GET;
        /// Adds a POST route.
        post = POST;
        /// Adds a PUT route.
        put = PUT;
        /// Adds a PATCH route.
        patch = PATCH;
        /// Adds a DELETE route.
        delete = DELETE;
    }

    /// Adds a route. `handler` must answer `method` and no other; [`get`](Self::get) and its like see to that.
    #[must_use]
    pub fn add(
        mut self,
        method: Method,
        path: &'static str,
        handler: MethodRouter<S, Infallible>,
        policy: Policy,
    ) -> Self {
        let known = *self.shapes.entry(shape(path)).or_insert(path);
        if known != path {
            self.report(format!("{path} and {known} are the same path with other names"));
        } else if self.table.iter().any(|route| route.method == method && route.path == path) {
            self.report(format!("{method} {path} is in the table twice"));
        } else {
            self.router = self.router.route(path, handler);
            self.table.push(RouteSpec { method, path, policy });
        }
        self
    }

    /// Adds all routes of another collection.
    #[must_use]
    pub fn merge(mut self, other: Self) -> Self {
        for route in &other.table {
            let known = *self.shapes.entry(shape(route.path)).or_insert(route.path);
            if known != route.path {
                self.report(format!("{} and {known} are the same path with other names", route.path));
            } else if self.table.iter().any(|one| one.method == route.method && one.path == route.path) {
                self.report(format!("{} {} is in the table twice", route.method, route.path));
            }
        }
        self.fault = self.fault.or(other.fault);
        if self.fault.is_none() {
            self.router = self.router.merge(other.router);
            self.table.extend(other.table);
        }
        self
    }

    fn report(&mut self, fault: String) {
        self.fault.get_or_insert(RouteFault(fault));
    }

    /// Every line so far.
    #[must_use]
    pub fn table(&self) -> &[RouteSpec] {
        &self.table
    }

    /// The router and its table.
    ///
    /// # Errors
    /// When two lines contradict each other.
    pub fn build(self) -> Result<(Router<S>, RouteTable), RouteFault> {
        match self.fault {
            Some(fault) => Err(fault),
            None => Ok((self.router, RouteTable(self.table.into()))),
        }
    }
}

/// A path with the names of its parameters taken out: the router cannot tell two of the same shape apart.
fn shape(path: &str) -> String {
    let part = |part: &str| match part.strip_prefix('{') {
        Some(name) if name.starts_with('*') => "{*}".to_owned(),
        Some(_) => "{}".to_owned(),
        None => part.to_owned(),
    };
    path.split('/').map(part).collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    const PUBLIC: Policy = Policy::new(Access::Public);

    async fn nothing() {}

    fn fault(routes: Routes) -> String {
        routes.build().err().map(|fault| fault.to_string()).unwrap_or_default()
    }

    #[test]
    fn the_table_keeps_what_was_added() {
        let policy = Policy::new(Access::Admin).body(64).statements(2).deadline(Duration::from_secs(3));
        let routes = Routes::<()>::new().get("/a/{id}", nothing, PUBLIC).post("/a/{id}", nothing, policy);
        let (_, table) = routes.build().expect("no fault");
        assert_eq!(
            table.routes(),
            [
                RouteSpec { method: Method::GET, path: "/a/{id}", policy: PUBLIC },
                RouteSpec { method: Method::POST, path: "/a/{id}", policy },
            ]
        );
    }

    #[test]
    fn contradictions_are_faults_and_no_panics() {
        let twice = Routes::new().get("/a", nothing, PUBLIC).get("/a", nothing, PUBLIC);
        assert_eq!(fault(twice), "GET /a is in the table twice");
        let names = Routes::new().get("/a/{id}", nothing, PUBLIC).post("/a/{name}", nothing, PUBLIC);
        assert_eq!(fault(names), "/a/{name} and /a/{id} are the same path with other names");
        let merged = Routes::new().get("/a", nothing, PUBLIC).merge(Routes::new().get("/a", nothing, PUBLIC));
        assert_eq!(fault(merged), "GET /a is in the table twice");
        let other = Routes::new().get("/b", nothing, PUBLIC).get("/b", nothing, PUBLIC);
        assert_eq!(fault(Routes::new().merge(other)), "GET /b is in the table twice");
    }

    #[test]
    fn parts_of_one_path_may_be_added_apart() {
        let merged = Routes::<()>::new().get("/a", nothing, PUBLIC).merge(Routes::new().put("/a", nothing, PUBLIC));
        assert_eq!(merged.table().len(), 2);
        assert!(merged.build().is_ok());
    }
}
