//! The one composition root: `serve`, the command line and the tests all build the same [`App`].

mod signing;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use mainstay_domain::{Clock, Entropy, Error, Ids, Result};
use mainstay_jobs::{JobFigures, Worker};
use mainstay_store::{Options, Store};
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;

use crate::accounts::Accounts;
use crate::accounts::keys::SigningKey;
use crate::assistant::Assistant;
use crate::billing::{BillingFigures, FastSpringApi};
use crate::calendars::Calendars;
use crate::calls::Calls;
use crate::config::{self, Config};
use crate::controls::{Catalogue, Controls};
use crate::deliveries::Deliveries;
use crate::flags::Flags;
use crate::http::{HttpMetrics, Overload, RouteTable, Settings, Tls, redirect, serve, wrap};
use crate::images::Images;
use crate::jobs::Jobs;
use crate::keys::Keys;
use crate::knowledge::Knowledge;
use crate::lifecycle::Lifecycle;
use crate::limits::Limits;
use crate::live::{Connects, Hub, Tickets};
use crate::nodes::Nodes;
use crate::ops::Watching;
use crate::ops::audit::service::Audits;
use crate::ops::backup::{self, BackupFigures};
use crate::ops::health::Health;
use crate::ops::metrics::Figures;
use crate::ops::pools::{self, PoolUse};
use crate::outgoing::{Lookup, SystemLookup};
use crate::outreach::Outreach;
use crate::outside::{SystemClock, SystemEntropy};
use crate::providers::Providers;
use crate::reception::Reception;
use crate::redis::Redis;
use crate::sync::Sync;
use crate::texts::Texts;
use crate::voice::Desk;
use crate::webhooks::{Inbox, InboxFigures, processors};

use signing::signing_key;

/// How long opening the parts may wait for the database.
const OPENING: Duration = Duration::from_secs(10);

/// What comes from outside the process.
#[derive(Clone)]
pub struct Outside {
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Chance.
    pub entropy: Arc<dyn Entropy>,
    /// Which addresses the names of endpoints have.
    pub lookup: Arc<dyn Lookup>,
}

impl Default for Outside {
    fn default() -> Self {
        let lookup = Arc::new(SystemLookup::default());
        Self { clock: Arc::new(SystemClock), entropy: Arc::new(SystemEntropy), lookup }
    }
}

/// Everything that a request may need. Handlers get it as their state.
pub struct App {
    /// The settings.
    pub config: Config,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Chance.
    pub entropy: Arc<dyn Entropy>,
    /// Identifiers.
    pub ids: Ids,
    /// What is remembered.
    pub store: Store,
    /// People, sign-ins, keys.
    pub accounts: Accounts,
    /// What several nodes tell each other by, where there is one.
    pub redis: Option<Redis>,
    /// What operators have set while everything runs.
    pub controls: Arc<Controls>,
    /// How often somebody may ask.
    pub limits: Arc<Limits>,
    /// Conversations and replies.
    pub assistant: Arc<Assistant>,
    /// What people send to be seen.
    pub images: Arc<Images>,
    /// What organisations know.
    pub knowledge: Arc<Knowledge>,
    /// The figures of usage.
    pub billing: BillingFigures,
    /// Who takes the money, where it can be asked.
    pub fastspring: Option<FastSpringApi>,
    /// What this node knows of the others.
    pub nodes: Arc<Nodes>,
    /// Who works on jobs here, once it has started.
    pub worker: OnceLock<Worker>,
    /// The figures of jobs.
    pub job_figures: JobFigures,
    /// What seals secrets at rest.
    pub keys: Arc<Keys>,
    /// What arrives from outside.
    pub inbox: Inbox,
    /// What organisations are told of.
    pub deliveries: Arc<Deliveries>,
    /// What is known of all jobs.
    pub jobs: Jobs,
    /// Calendars of others.
    pub calendars: Calendars,
    /// Calls on the phone.
    pub calls: Calls,
    /// Services, times and appointments.
    pub reception: Reception,
    /// Text messages.
    pub texts: Texts,
    /// Campaigns of email.
    pub outreach: Outreach,
    /// Delta sync.
    pub sync: Sync,
    /// Feature flags and experiments.
    pub flags: Arc<Flags>,
    /// Who follows live.
    pub hub: Arc<Hub>,
    /// Tickets for sockets.
    pub tickets: Tickets,
    /// How many sockets are let in.
    pub connects: Connects,
    /// Voice sessions.
    pub voice: Arc<Desk>,
    /// How much is worked on at once.
    pub overload: Overload,
    /// How much of the database's connections is used.
    pub pool_use: PoolUse,
    /// Whether all is well.
    pub health: Health,
    /// How old the newest backup is.
    pub backups: BackupFigures,
    /// What an audit of this process needs.
    pub audits: Audits,
    /// What tells people how all this is.
    pub watching: Watching,
    /// What runs in the background, and how it ends.
    pub lifecycle: Lifecycle,
    /// The certificate of the server's own, where it has one and has started.
    pub tls: OnceLock<Arc<Tls>>,
    /// The figures of the HTTP server.
    pub http_metrics: HttpMetrics,
    /// All figures.
    pub metrics: Registry,
}

/// The part of the configuration that the store is opened by.
#[must_use]
pub fn store_options(database: &config::Database) -> Options {
    Options {
        app_url: database.app_url.clone(),
        system_url: database.system_url.clone(),
        app_role: database.app_role.clone(),
        system_role: database.system_role.clone(),
        transaction_pooler: database.transaction_pooler,
        pool_size: database.pool_size,
        acquire_timeout: database.acquire_timeout(),
        idle_timeout: database.idle_timeout(),
        statement_timeout: database.statement_timeout(),
        batch_lanes: database.batch_lanes,
        batch_size: database.batch_size,
        batch_size_per_tenant: database.batch_size_per_tenant,
        batch_queue: database.batch_queue,
        ..Options::new(database.url.clone())
    }
}

/// Installs ring as the cryptography of TLS, for the whole process. Doing it twice is harmless.
pub fn install_tls() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// Opens the store, and runs what belongs to it for as long as the server does.
pub(crate) async fn open_store(
    database: &config::Database,
    entropy: &Arc<dyn Entropy>,
    lifecycle: &Lifecycle,
) -> mainstay_store::Result<Store> {
    let (store, tasks) = Store::open(store_options(database), Arc::clone(entropy)).await?;
    for task in tasks {
        let drained = lifecycle.drained();
        let future = async move {
            tokio::select! {
                () = task.future => {}
                () = drained => {}
            }
        };
        if task.on_own_thread {
            lifecycle.spawn_on_thread(task.name, future);
        } else {
            lifecycle.spawn(task.name, future);
        }
    }
    Ok(store)
}

impl App {
    /// Opens everything. The schema must be there. What runs in the background is started under the lifecycle.
    ///
    /// # Errors
    /// When the database cannot be opened, or a setting cannot be used.
    pub async fn open(config: Config, outside: Outside, lifecycle: Lifecycle) -> Result<Arc<Self>> {
        install_tls();
        let Outside { clock, entropy, .. } = outside.clone();
        let ids = Ids::new(Arc::clone(&clock), Arc::clone(&entropy));
        let (store, mut metrics) = (open_store(&config.database, &entropy, &lifecycle).await?, Registry::default());
        let keys = Arc::new(Keys::new(&config, &store, &outside, ids.make(), &mut metrics));
        // Before the store goes: its tasks would end and be reported as failures beside the true one.
        let key = signing_key(&config.auth, &store, &keys, &outside).await.inspect_err(|_| lifecycle.stop_hard())?;
        pools::check_room(&config.database, &store).await.inspect_err(|_| lifecycle.stop_hard())?;
        let accounts = open_accounts(&config, &key, &store, &outside, &ids)?;
        let controls = open_controls(&config, &outside, &mut metrics);
        let billing = BillingFigures::register(&mut metrics);
        let fastspring = FastSpringApi::new(&config.billing.fastspring, &config.providers, Arc::clone(&clock))?;
        let sources = open_sources(&store, &outside, &ids, &mut metrics);
        let known = (lifecycle.clone(), billing.clone(), Arc::clone(&controls));
        let assistant = open_assistant(&config, &store, &outside, &ids, known, &sources)?;
        let (nodes, flags) = (Arc::new(Nodes::new()), Arc::new(Flags::new(&config.flags, store.clone())));
        let sync = open_sync(&config, &store, &outside, (&nodes, &controls));
        let hub = Arc::new(Hub::new(store.clone(), Arc::clone(&entropy)));
        let (overload, pool_use) = (open_overload(&config, &entropy, &mut metrics), PoolUse::default());
        let known = (&entropy, &lifecycle, &nodes, &controls);
        let (redis, limits) = open_limits(&config, known, &mut metrics).inspect_err(|_| lifecycle.stop_hard())?;
        register_figures((&store, &assistant), (&pool_use, &limits, &redis), &mut metrics);
        crate::live::register(&mut metrics, &hub, &sync.heads, &sync.pacing, &nodes);
        flags.register(&mut metrics);
        let (inbox, deliveries) = open_webhooks(&config, (&store, &keys, &controls), &outside, &ids, &mut metrics)
            .inspect_err(|_| lifecycle.stop_hard())?;
        let (job_figures, jobs, backups) = open_jobs(&mut metrics);
        let voice = open_voice(&config, (&store, &clock, &lifecycle), &mut metrics)?;
        let watching =
            Watching::new(&config, &store, &ids, &outside, &mut metrics).inspect_err(|_| lifecycle.stop_hard())?;
        let (reception, calls, texts, calendars, outreach) =
            open_reception(&config, (&store, &keys, &key), (&outside, &ids), &mut metrics)
                .inspect_err(|_| lifecycle.stop_hard())?;
        let app = Arc::new(Self {
            health: Health::new(store.clone(), redis.clone()),
            calendars,
            connects: Connects::new(config.live.connects_per_second, Arc::clone(&entropy)),
            config,
            clock,
            entropy,
            ids,
            store,
            accounts,
            redis,
            controls,
            limits,
            assistant,
            knowledge: sources.0,
            images: sources.1,
            billing,
            fastspring,
            nodes,
            worker: OnceLock::new(),
            job_figures,
            keys,
            inbox,
            deliveries,
            jobs,
            calls,
            reception,
            texts,
            outreach,
            sync,
            flags,
            hub,
            tickets: Tickets::new(&key),
            voice,
            overload,
            pool_use,
            backups,
            audits: Audits::default(),
            watching,
            lifecycle,
            tls: OnceLock::new(),
            http_metrics: HttpMetrics::register(&mut metrics),
            metrics,
        });
        app.assistant.belongs_to(&app);
        Ok(app)
    }

    /// Starts what runs for as long as the server does, and waits until the first request could be answered.
    ///
    /// # Errors
    /// When the certificate, the lease of this node or the feed of revocations cannot be had.
    pub async fn start(self: &Arc<Self>) -> Result<()> {
        if let Some(tls) = Tls::open(&self.config.http.tls, &self.http_metrics)? {
            self.tls.get_or_init(|| tls).start(&self.lifecycle);
        }
        // Before the first write of this process: from here on its commits are told.
        self.sync.listen(Arc::clone(&self.hub));
        crate::ops::errors::start(self);
        crate::ops::traces::start(self);
        self.accounts.start(&self.lifecycle).await?;
        crate::keys::start(self).await?;
        // Before anything is begun: what is off stays off over a restart.
        crate::controls::start(self).await?;
        self.assistant.start(self.config.database.engine() == config::Engine::Sqlite).await?;
        crate::flags::start(self).await?;
        crate::live::start(self).await;
        crate::voice::start(self);
        crate::ops::housekeeping::start(self);
        backup::start(self);
        crate::audit_trail::start(self);
        pools::start(self);
        crate::limits::start(self).await;
        crate::deliveries::start(self);
        crate::jobs::start(self);
        crate::job_list::start(self).await?;
        crate::ops::system::start(self);
        crate::ops::alerts::start(self);
        self.lifecycle.set_ready(true);
        Ok(())
    }
}

/// What several nodes tell each other by, where there is one, and how often somebody may ask.
fn open_limits(
    config: &Config,
    (entropy, lifecycle, nodes, controls): (&Arc<dyn Entropy>, &Lifecycle, &Arc<Nodes>, &Arc<Controls>),
    metrics: &mut Registry,
) -> Result<(Option<Redis>, Arc<Limits>)> {
    let redis = Redis::open(&config.redis, entropy, lifecycle)?;
    let set = (config.limits.clone(), Arc::clone(controls));
    let limits = Limits::new(set, (redis.clone(), nodes.count()), entropy.as_ref(), metrics);
    Ok((redis, Arc::new(limits)))
}

/// The figures that are read where they are.
fn register_figures(
    (store, assistant): (&Store, &Arc<Assistant>),
    (pool_use, limits, redis): (&PoolUse, &Arc<Limits>, &Option<Redis>),
    metrics: &mut Registry,
) {
    let (store, assistant, limits) = (store.clone(), Arc::clone(assistant), Arc::clone(limits));
    Figures { store, assistant, pool_use: pool_use.clone(), limits, redis: redis.clone() }.register(metrics);
}

/// What is offered and when, who calls, and who is told of it.
fn open_reception(
    config: &Config,
    (store, keys, key): (&Store, &Arc<Keys>, &SigningKey),
    (outside, ids): (&Outside, &Ids),
    metrics: &mut Registry,
) -> Result<(Reception, Calls, Texts, Calendars, Outreach)> {
    let clock = &outside.clock;
    let reception = Reception::new(store.clone(), Arc::clone(clock), ids.clone(), metrics);
    let calls = Calls::new(store.clone(), Arc::clone(clock), ids.clone(), metrics);
    let texts = Texts::new(config, (store.clone(), key), outside, metrics)?;
    let calendars = Calendars::new(config, (store, keys), (outside, ids), metrics)?;
    let outreach = Outreach::new(config, (store, keys, key), (outside, ids), metrics)?;
    Ok((reception, calls, texts, calendars, outreach))
}

/// People, sign-ins, keys.
fn open_accounts(
    config: &Config,
    key: &SigningKey,
    store: &Store,
    Outside { clock, entropy, .. }: &Outside,
    ids: &Ids,
) -> Result<Accounts> {
    Accounts::new(config, key, store.clone(), Arc::clone(clock), Arc::clone(entropy), ids.clone())
}

/// How much is worked on at once.
fn open_overload(config: &Config, entropy: &Arc<dyn Entropy>, metrics: &mut Registry) -> Overload {
    let overload = Overload::new(&config.overload, entropy.as_ref());
    overload.register(metrics);
    overload
}

/// Delta sync.
fn open_sync(config: &Config, store: &Store, outside: &Outside, known: (&Arc<Nodes>, &Arc<Controls>)) -> Sync {
    let outer = (Arc::clone(&outside.clock), Arc::clone(&outside.entropy));
    Sync::new(&config.sync, store.clone(), outer, Arc::clone(known.0), Arc::clone(known.1))
}

/// Voice sessions. A setting that cannot be used ends what was started.
fn open_voice(
    config: &Config,
    parts: (&Store, &Arc<dyn Clock>, &Lifecycle),
    metrics: &mut Registry,
) -> Result<Arc<Desk>> {
    Desk::new(config, parts, metrics).inspect_err(|_| parts.2.stop_hard())
}

/// What is known of jobs, and of those that make backups.
fn open_jobs(metrics: &mut Registry) -> (JobFigures, Jobs, BackupFigures) {
    (JobFigures::register(metrics), Jobs::register(metrics), BackupFigures::register(metrics))
}

/// What operators may set while everything runs.
fn open_controls(config: &Config, outside: &Outside, metrics: &mut Registry) -> Arc<Controls> {
    let queues = crate::job_list::queues(config).map(|queue| queue.name);
    Controls::new(Arc::clone(&outside.clock), Arc::clone(&outside.entropy), Catalogue::new(queues), metrics)
}

/// Conversations, replies and who makes them.
fn open_assistant(
    config: &Config,
    store: &Store,
    outside: &Outside,
    ids: &Ids,
    known: (Lifecycle, BillingFigures, Arc<Controls>),
    (knowledge, images): &(Arc<Knowledge>, Arc<Images>),
) -> Result<Arc<Assistant>> {
    let sources = (Arc::clone(knowledge), Arc::clone(images));
    let clock = Arc::clone(&outside.clock);
    let providers = Providers::new(&config.providers, Arc::clone(&clock), Arc::clone(&outside.entropy))?;
    Ok(Arc::new(Assistant::new(&config.assistant, store.clone(), providers, clock, ids.clone(), known, sources)))
}

/// What a reply may draw from beside the conversation.
fn open_sources(store: &Store, outside: &Outside, ids: &Ids, metrics: &mut Registry) -> (Arc<Knowledge>, Arc<Images>) {
    let knowledge = Knowledge::new(store.clone(), Arc::clone(&outside.clock), ids.clone(), metrics);
    let images = Images::new(store.clone(), Arc::clone(&outside.clock), ids.clone(), metrics);
    (Arc::new(knowledge), Arc::new(images))
}

/// What arrives from outside, and what organisations are told of.
fn open_webhooks(
    config: &Config,
    (store, keys, controls): (&Store, &Arc<Keys>, &Arc<Controls>),
    outside: &Outside,
    ids: &Ids,
    metrics: &mut Registry,
) -> Result<(Inbox, Arc<Deliveries>)> {
    let clock = Arc::clone(&outside.clock);
    let figures = InboxFigures::register(metrics);
    let parts = (store.clone(), Arc::clone(keys), Arc::clone(controls));
    let inbox = Inbox::new(config, parts, (clock, ids.clone()), processors::all(), figures)?;
    let deliveries =
        Deliveries::new(config, (store.clone(), Arc::clone(keys)), (outside.clone(), ids.clone()), metrics)?;
    Ok((inbox, Arc::new(deliveries)))
}

/// The HTTP side of an [`App`]: what a listener is given.
pub struct Service {
    /// All routes with the stack around them.
    pub router: axum::Router,
    /// The stack's settings; they also count the statements of each route.
    pub settings: Settings,
    /// The table of routes.
    pub table: RouteTable,
}

impl Service {
    /// The service of this app.
    ///
    /// # Errors
    /// When a setting of `[http]` cannot be used.
    pub fn new(app: &Arc<App>) -> Result<Self> {
        let (router, table) = crate::routes::routes(&app.config).map_err(Error::internal)?;
        let settings = Settings::new(&app.config.http, &table, app.ids.clone(), app.http_metrics.clone())
            .map_err(Error::internal)?
            .with_overload(&app.overload)
            .limited_by(Arc::clone(&app.limits))
            .controlled_by(Arc::clone(&app.controls))
            .traced_by(&app.watching.traces);
        let router = wrap(router.with_state(Arc::clone(app)), settings.clone());
        Ok(Self { router, settings, table })
    }

    /// Answers the connections of a listener until the soft stop, and sends those of another, where there is one, to the
    /// address with https.
    ///
    /// # Errors
    /// When the listener fails.
    pub async fn serve(self, app: &App, listener: TcpListener, plain: Option<TcpListener>) -> std::io::Result<()> {
        let _ = app.audits.listening.set(listener.local_addr()?);
        let (settings, metrics, lifecycle) = (&app.config.http, &app.http_metrics, &app.lifecycle);
        if let Some(plain) = plain {
            let router = redirect(settings.public_address(settings.port));
            let (settings, metrics, life) = (settings.clone(), metrics.clone(), lifecycle.clone());
            lifecycle
                .spawn("http_redirect", async move { serve((plain, None), router, &settings, &metrics, life).await });
        }
        serve((listener, app.tls.get().cloned()), self.router, settings, metrics, lifecycle.clone()).await
    }
}
