/**
 * A sample filter of Hayloft: every answer of S3 and of Swift says which environment it comes from, and requests of clients
 * that are known to do harm are refused.
 *
 *   SITE_ENVIRONMENT=staging hayloft serve --filter docs/guide/filters/add-header.cjs
 */
const REFUSED_AGENTS = /masscan|sqlmap/i

module.exports = ({ withHeaders }) => {
  const environment = process.env.SITE_ENVIRONMENT ?? "production"
  return {
    name: "add-header",

    /** Both are filtered if this is left out. */
    ports: ["s3", "swift"],

    handle(exchange, next) {
      if (REFUSED_AGENTS.test(exchange.header("user-agent") ?? "")) {
        const body = new TextEncoder().encode("This client is not served here.\n")
        return exchange.respond({ status: 403, headers: ["Content-Type", "text/plain"], body })
      }
      return next(withHeaders(exchange, ["X-Environment", environment]))
    },
  }
}
