/** The metric that says when certificates in use expire. */
import { sharedMetrics, type Metrics } from "@hayloft/base/seams/telemetry/contract.js"
import type { ServeConfig } from "@hayloft/node/config/index.js"
import type { Certificates } from "@hayloft/protocols/http/index.js"

const CERTIFICATE = "hayloft_certificate_expiry_timestamp_seconds"

export function registerExpiry(
  metrics: Metrics,
  expiries: () => readonly (readonly [file: string, expiresMs: number])[],
): void {
  sharedMetrics(metrics).gauge(CERTIFICATE, "When a certificate in use expires, as Unix time", () =>
    expiries().map(([file, expiresMs]) => [{ file }, expiresMs / 1000]),
  )
}

/** The certificate of S3, in a thread that may have read it. */
export function registerExpiryOfS3(
  metrics: Metrics,
  { tls }: ServeConfig,
  certificates: Certificates | undefined,
): void {
  registerExpiry(metrics, () => {
    const { expiresMs } = certificates ?? {}
    return expiresMs === undefined ? [] : [[tls?.certFile ?? "", expiresMs]]
  })
}
