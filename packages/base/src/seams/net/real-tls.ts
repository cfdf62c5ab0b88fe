/**
 * TLS between the nodes of a cluster: both sides present a certificate, and its fingerprint alone decides.
 *
 * Promises  TLS 1.3 and Ed25519 only; no names, sessions are never resumed. A peer that is not admitted receives the
 *           handshake, which states nothing about the node, and not a byte after it. TLS itself proves that a peer has
 *           the key of its certificate.
 * Requires  `admit` is called within the event that ends the handshake (`secureConnection`, `secureConnect`), before
 *           anything is read or written: Node's own checks accept only certificates of authorities, so they are off.
 * Limits    HANDSHAKE_MS for a client to complete its handshake.
 */
import { constants } from "node:crypto"
import type { CommonConnectionOptions, ConnectionOptions, SecureContextOptions, TLSSocket, TlsOptions } from "node:tls"
import { parseNodeFingerprint, type NodeFingerprint } from "../../ids.js"

/** The rest of a handshake is one round trip and some milliseconds of processor time. */
const HANDSHAKE_MS = 10_000

interface TlsIdentity {
  readonly certificatePem: string
  readonly privateKeyPem: string
}

const both = ({ certificatePem, privateKeyPem }: TlsIdentity): SecureContextOptions & CommonConnectionOptions => ({
  cert: certificatePem,
  key: privateKeyPem,
  minVersion: "TLSv1.3",
  maxVersion: "TLSv1.3",
  sigalgs: "ed25519",
  secureOptions: constants.SSL_OP_NO_TICKET,
  rejectUnauthorized: false,
})

export const tlsServerOptions = (identity: TlsIdentity): TlsOptions => ({
  ...both(identity),
  requestCert: true,
  handshakeTimeout: HANDSHAKE_MS,
})

/** An empty server name keeps the address out of the first message, which is not encrypted. */
export const tlsClientOptions = (identity: TlsIdentity): ConnectionOptions => ({ ...both(identity), servername: "" })

/** The connections of admitted peers that are open, by fingerprint. */
export class PeerConnections {
  private readonly open = new Map<TLSSocket, NodeFingerprint>()

  /** `isAdmitted`: by the table of nodes as it is at the moment of the call. */
  constructor(private readonly isAdmitted: (fingerprint: NodeFingerprint) => boolean) {}

  /**
   * The peer, whose connection is then closed when `closeRevoked` finds it revoked. Undefined if the peer is not
   * admitted, or is not the expected one; the connection is closed then.
   */
  admit(socket: TLSSocket, expected?: NodeFingerprint): NodeFingerprint | undefined {
    const peer = peerOf(socket)
    if (peer === undefined || (expected !== undefined && peer !== expected) || !this.isAdmitted(peer)) {
      socket.destroy()
      return undefined
    }
    this.open.set(socket, peer)
    socket.once("close", () => this.open.delete(socket))
    return peer
  }

  /** Closes the connections of all peers that are no longer admitted; call it after each change of the table. */
  closeRevoked(): void {
    for (const [socket, peer] of this.open) if (!this.isAdmitted(peer)) socket.destroy()
  }
}

/** Returns undefined for a peer that presented no certificate. */
function peerOf(socket: TLSSocket): NodeFingerprint | undefined {
  const certificate = socket.getPeerX509Certificate()
  if (certificate === undefined) return undefined
  return parseNodeFingerprint(certificate.fingerprint256.replaceAll(":", "").toLowerCase())
}
