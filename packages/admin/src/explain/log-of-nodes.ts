/** Log events about the database with the metadata, the nodes of a store, and its services. */
import { error, warn, type LogText } from "./contract.js"

const NODES = "design/failure-scenarios.md#several-nodes"
const DATABASE_AWAY = "design/failure-scenarios.md#the-database-with-the-metadata-is-away-or-has-lost-commits"
const RESTORE = "operate/cluster.md#restore-the-database"

export const NODE_EVENTS = {
  store_halted: error(
    "The database lacks changes that were acknowledged: it was restored from a backup, or failed over to a standby that was behind. All nodes have stopped reading, writing and removing anything, so that nothing else is lost. Clients get 503.",
    "First make sure that the database is the right one: if a primary with all changes still exists, go back to it. Otherwise start all nodes that have disks, and run `hayloft cluster reconcile`.",
    RESTORE,
  ),
  store_reconciled_by_operator: warn(
    "An operator has run `hayloft cluster reconcile`: what could be put back is back, and the halted store serves again. `halt` is the reason of the halt.",
    "Read the list that the command wrote (`hayloft-reconcile.jsonl`): `listed` and `missing` entries need a decision.",
    RESTORE,
  ),
  reconciliation_failed: error(
    "`hayloft cluster reconcile` could not finish its comparison or put everything back; `error` says why. The store stays halted. What was put back stays so.",
    "Repair what `error` names (a node or disk that is unreachable, a database that does not respond), and run the command again. `--without DEVICE` goes on without a lost disk.",
    RESTORE,
  ),
  start_after_halt_failed: error(
    "The store is no longer halted, but this node could not finish its own start yet; `reason` says why. It tries again every second, and this line appears once for each reason.",
    "Repair what `reason` names. If it does not change, restart this node.",
    RESTORE,
  ),
  database_unreachable: warn(
    "A statement for a change of metadata got no answer from the database in time. Requests that waited for it get 503 `ServiceUnavailable`; the node stays up and tries again.",
    "Look at the database, its connection limit, and the network to it: `hayloft cluster check-database`, and `database` in `hayloft status`. During a failover the line is normal.",
    DATABASE_AWAY,
  ),
  metadata_incarnation_over: error(
    "This process may no longer commit to the database. `reason` is `ended`: it was silent for 5 minutes, or another process of the node has begun; `superseded`: another process runs as this node; `rolledBack`: the database has lost commits. Requests get 503 meanwhile.",
    "`ended`: nothing, the process registers again as soon as it reaches the database; find out why it was silent (network, a paused machine, an overloaded database). `superseded`: two processes have the same node name, so stop one. `rolledBack`: see `store_halted`.",
    NODES,
  ),
  metadata_incarnation_not_begun: error(
    "This process tried to register again with the database and could not; `error` says why. It keeps trying, and answers 503 until it succeeds.",
    "Repair the connection to the database. If `error` says that the metadata is elsewhere, the store has left this database: stop this process, and start it with the present settings.",
    DATABASE_AWAY,
  ),
  silent_incarnation_ended: warn(
    "A node has written no heartbeat for 5 minutes, so its process was fenced: it can commit nothing any more. Others do its jobs. After 15 minutes its devices go offline.",
    "See whether the node runs and reaches the database. It registers again by itself when it is back. If it is lost: `hayloft node forget NODE`.",
    NODES,
  ),
  node_removed: error(
    "This node was removed from the store (`hayloft node remove` or `node forget`), so its process ends. Its data is on other nodes, or was given up.",
    "Nothing, if that was intended; disable the service. To use the machine again, start it with empty folders.",
    "operate/operate.md#several-nodes",
  ),
  steward_step_failed: warn(
    "A periodic duty of the steward, the node that watches the others, failed and is repeated; `duty` says which. While it fails, silent nodes are noticed later and bytes of deleted objects are kept longer.",
    "Nothing, if it happens once, for example during a failover. Otherwise read `error`: the database usually does not respond. Another node takes the duty over if this one makes no progress.",
    "operate/operate.md#several-nodes",
  ),
  lease_given_up: warn(
    "A job that one node does for the whole store made no progress here, so this node leaves it to another one. `lease` names the job.",
    "Run `hayloft jobs list` to see where it runs now and its last error. If all nodes give it up in turn, repair what that error names.",
    "operate/operate.md#background-work",
  ),
  root_key_unknown: error(
    "Another node has given the store a new root key, and this node cannot open it with its master key. It goes on with the former root key, so the new pair is refused here.",
    "Compare the master key files of the nodes; restart this node with the file of the others.",
    "operate/rotate-the-master-key.md#in-a-store-of-several-nodes",
  ),
  rpc_call_failed: error(
    "This node could not serve a call of another node because of an error that it did not expect: a bug. The other node sees the call as failed, and repeats it or uses other shards.",
    "Report it as a bug with `method` and `error`. Run `hayloft status`: if repair or reads stall, restart this node.",
  ),
} as const satisfies Record<string, LogText>

export const SERVICE_EVENTS = {
  events_not_stored: warn(
    "Notable events could not be written to the metadata; `reason` says why. They wait in memory, up to 500, and are tried again at growing intervals of up to a minute; `hayloft events` on this node shows them meanwhile. Logged once until it works again.",
    "Repair what `reason` names: the metadata or its database does not respond. If the process ends before, these events are in its log only.",
    "operate/watch-a-store.md#events-of-all-nodes-hayloft-events",
  ),
  events_dropped: warn(
    "So many different events occurred that `events` of them are not among those that `hayloft events` shows. The log of this node has all of them.",
    "Look at the log of this node around this time, and repair what it says most often.",
    "operate/watch-a-store.md#events-of-all-nodes-hayloft-events",
  ),
  provide_failed: error(
    "A bucket or a user that the settings name (`HAYLOFT_BUCKETS`, `HAYLOFT_USERS`, `MINIO_DEFAULT_BUCKETS`) could not be made at the start; `kind` and `name` say which, `reason` why. The store runs without it, and the others of the list were made.",
    "Mend what `reason` says: another account has a bucket of this name, a policy does not exist, or the store accepts no writes. Then restart, or make it by hand.",
    "operate/buckets-and-users-at-the-start.md",
  ),
  service_failed: error(
    "A background service of the process failed and is started again after `waitMs`, at most a minute later. Requests are served meanwhile.",
    "Nothing, if `failures` stays at 1 or 2: the cause was temporary. If it grows, repair what `error` names; if that is nothing outside the process, report it as a bug.",
    "operate/operate.md#background-work",
  ),
  service_assertion_failed: error(
    "The process has found itself in a state that must not occur: a bug. It ends, because continuing could damage data. Nothing that was acknowledged is lost.",
    "Start the store again, if the service manager does not. Keep the log, and report the bug with the whole line: `error` has the stack.",
    "design/failure-scenarios.md#the-process-dies",
  ),
  job_failed: error(
    "A step or a pass of a background job failed, for the `failures`th time in a row. The job repeats it, at growing intervals of up to a minute while it fails; requests are served. From the third time on health says so, too.",
    "Run `hayloft jobs list`: it shows the last error of each job. A device that is full or offline, or a database that is away, explains most of them. If it stays for an hour without such a cause, report it as a bug.",
    "operate/operate.md#background-work",
  ),
  http_server_failed: error(
    "A listening port reported an error of the operating system, most often because the process has no file descriptors left for new connections.",
    "Read `reason`. For `EMFILE` or `ENFILE` raise the limit of open files (`LimitNOFILE` in the systemd unit) and restart. Connections that exist go on.",
    "guide/install.md#systemd",
  ),
  few_open_files: warn(
    "The process may have fewer open files and sockets than its ports could use: each port takes `connectionsMax` connections at a time, so that half of the files are left to the store. Further connections are answered 503.",
    "Raise the limit (`LimitNOFILE` in the systemd unit, `ulimit -n`, `--ulimit nofile` of a container) and restart, if you expect more clients at a time.",
    "guide/install.md#systemd",
  ),
  audit_record_lost: warn(
    "A change was made, or tried, and could not be written to the audit log; `operation` and `target` say which, `reason` why: a full, overloaded or halted store, or one that did not respond within five seconds. The line `admin_change`, or that of the request to S3, IAM or KMS, has the change itself.",
    "Mend what `reason` says. Keep the lines `admin_change` of that time if you need a complete record.",
    "operate/audit-log.md#what-to-know",
  ),
  audit_delivery_late: warn(
    "Records of the audit log have waited for more than 15 minutes for a sink (`sink`: the file, webhook or bucket of the configuration). Changes go on, and the log keeps the records; `records` says how many wait.",
    "Run `hayloft jobs list`: the job `audit-` with the name of the sink shows its last error. Mend the file system, the receiver of the webhook or the bucket; delivery goes on where it stopped.",
    "operate/audit-log.md#send-it-elsewhere",
  ),
  audit_records_dropped: warn(
    "The audit log has removed records that were too old or too many before a sink had them: it misses so many records for ever.",
    "Mend the sink (`hayloft jobs list` shows its last error). If changes are made by the hundred thousand, find out by whom: `hayloft audit`.",
    "operate/audit-log.md#send-it-elsewhere",
  ),
  certificate_load_failed: warn(
    "A certificate or its key could not be read or used, or does not fit the other; `reason` says which. The former certificate stays in use until it expires.",
    "Repair the files (`folder` and `name`, or the files of `--tls-cert` and `--tls-key`): both PEM, readable for the user of the process, key and certificate of the same pair, names in lower case. They are read again within seconds, without a restart.",
    "guide/install.md#tls",
  ),
  key_service_unreachable: error(
    "Vault or AWS KMS has not responded to 5 calls one after the other. Requests for objects whose key is there get 503 `ServiceUnavailable`; others go on. One call every 5 seconds tries again.",
    "Check the service and the network to it; `reason` has the last error. `key_service_reachable_again` in the log says that it is over.",
    "operate/external-keys.md#when-the-service-does-not-respond",
  ),
  key_service_refuses_credentials: error(
    "Vault or AWS KMS answers, but refuses the token or the credentials of this store. Requests that need the service get 503.",
    "Renew the token or the credentials, or correct the policy that lets them use the key; `reason` is the answer of the service. A file of credentials must be readable for the user of the process.",
    "operate/external-keys.md#when-the-service-does-not-respond",
  ),
} as const satisfies Record<string, LogText>
