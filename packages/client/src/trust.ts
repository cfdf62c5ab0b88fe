/**
 * Trust: the certificates that a client accepts besides those of well-known authorities.
 *
 * Promises  Every certificate is verified: its dates, its chain, its name. The one exception is a server that shows exactly
 *           the certificate of the store in the data folder: then the name may differ, since the address comes from the
 *           same folder and is often 127.0.0.1.
 */
import { X509Certificate } from "node:crypto"
import { checkServerIdentity, rootCertificates, type ConnectionOptions } from "node:tls"

export interface Trust {
  /** One or more certificates in PEM: of authorities, or of servers themselves. */
  readonly pem: string
  /** The first certificate is that of the store in the data folder. */
  readonly isOwnStore: boolean
}

/** Partial chains, so that a server's certificate can be trusted without that of its issuer. */
export function tlsOptionsOf(trust: Trust | undefined): ConnectionOptions & { allowPartialTrustChain?: boolean } {
  if (trust === undefined) return {}
  const own = trust.isOwnStore ? new X509Certificate(trust.pem).raw : undefined
  return {
    ca: [...rootCertificates, trust.pem],
    allowPartialTrustChain: true,
    checkServerIdentity: (host, certificate) =>
      own?.equals(certificate.raw) === true ? undefined : checkServerIdentity(host, certificate),
  }
}
