/** Runs this process as a node: its identity, its port for the other nodes, and its membership in the store. */
import { serveOperations, type OwnLive } from "@hayloft/node/cluster/cluster-operations.js"
import { Membership, type AdmittedPeers } from "@hayloft/node/cluster/membership.js"
import { serveReports } from "@hayloft/node/cluster/node-reports.js"
import { serveRepair } from "@hayloft/node/cluster/repair-workers.js"
import { makeIdentity } from "@hayloft/node/identity/node-identity.js"
import type { OpenedStore } from "@hayloft/node/open/contract.js"
import { must } from "@hayloft/base/assert.js"
import type { Failure } from "@hayloft/base/failures.js"
import { parseNodeFingerprint, type NodeFingerprint } from "@hayloft/base/ids.js"
import type { ClusterConfig, ListenAddress } from "@hayloft/node/config/index.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import { hurried } from "@hayloft/base/seams/clock/hurried.js"
import type { Net } from "@hayloft/base/seams/net/contract.js"
import { RealNet } from "@hayloft/base/seams/net/real.js"
import { PeerConnections, tlsClientOptions, tlsServerOptions } from "@hayloft/base/seams/net/real-tls.js"
import type { Random } from "@hayloft/base/seams/random/contract.js"
import type { Telemetry } from "@hayloft/base/seams/telemetry/contract.js"
import type { RunningStore } from "./run-store.js"

/** The network as this node uses it: only peers whose fingerprint is admitted are connected. */
interface NodeNetwork {
  readonly net: Net
  readonly admitted: AdmittedPeers
  /** The fingerprint of this node, as its peers see it. */
  readonly fingerprint: NodeFingerprint
}

interface NodeSeams {
  readonly clock: Clock
  readonly random: Random
  readonly telemetry: Telemetry
  /** TLS with a new certificate if absent. */
  readonly network?: NodeNetwork
}

function realNetwork(random: Random): NodeNetwork {
  const identity = makeIdentity(random)
  const fingerprints = new Set<string>()
  const strangers = new Set<() => void>()
  const connections = new PeerConnections(fingerprint => fingerprints.has(fingerprint))
  const net = new RealNet({
    serverOptions: () => tlsServerOptions(identity),
    clientOptions: () => tlsClientOptions(identity),
    admit: (socket, expected) => {
      const peer = connections.admit(socket, expected === undefined ? undefined : parseNodeFingerprint(expected))
      if (peer === undefined) strangers.forEach(listener => listener())
      return peer
    },
  })
  const admitted = {
    fingerprints,
    closeRevoked: () => connections.closeRevoked(),
    onStranger: (listener: () => void) => void strangers.add(listener),
  }
  return { net, admitted, fingerprint: identity.fingerprint }
}

/** The node listens and is a member of the store when it resolves. The caller supervises the membership. */
export async function runNode(
  { clock, random, telemetry, network = realNetwork(random) }: NodeSeams,
  { node, storeId }: OpenedStore,
  running: RunningStore,
  config: ClusterConfig,
  host: { readonly version: string; readonly name: string; readonly live: OwnLive },
  onRemoved: (reason: Failure) => void,
): Promise<Membership> {
  const { metadata, records, name } = must(node, "the store is that of a node")
  const membership = new Membership(
    {
      clock,
      random,
      telemetry,
      metadata,
      records,
      beats: hurried(clock, config.haste ?? 1),
      net: network.net,
      admitted: network.admitted,
      leases: must(running.leases, "a node has leases"),
    },
    {
      storeId,
      name,
      zone: config.zone,
      machine: config.machine,
      program: host.version,
      fingerprint: network.fingerprint,
      masterKeys: running.masterKeys,
    },
    running.engine.exchange,
    server => {
      serveReports(server, running.report)
      serveOperations(server, running.ownOperations, host.live)
      const { visitsForOthers: visits } = running.engine.services
      serveRepair(server, { clock, metrics: telemetry.metrics, records, visits })
    },
    onRemoved,
  )
  await membership.join(config.nodeListen, listening => announcedAddress(config, listening, host.name))
  return membership
}

const EVERY_ADDRESS = new Set(["0.0.0.0", "::"])

/** Returns where others reach the node: as configured, else where it listens, by the host's name if that is every address. */
function announcedAddress(
  { nodeAddress, nodeListen }: ClusterConfig,
  { port }: ListenAddress,
  hostName: string,
): ListenAddress {
  if (nodeAddress !== undefined) return { ...nodeAddress, port: nodeAddress.port === 0 ? port : nodeAddress.port }
  return { host: EVERY_ADDRESS.has(nodeListen.host) ? hostName : nodeListen.host, port }
}
