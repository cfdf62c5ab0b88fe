/** Shows a person who opens the S3 address in a browser a page, not an XML error. */
import { isLoopbackHost, type Exchange, type PlainAnswer } from "../http/index.js"
import { escapeHtml } from "@hayloft/base/text/html-text.js"

/** An unsigned `GET /` of a browser. */
export function isBrowser(exchange: Exchange): boolean {
  return (
    exchange.method === "GET" &&
    exchange.rawTarget === "/" &&
    exchange.header("authorization") === undefined &&
    (exchange.header("accept") ?? "").toLowerCase().includes("text/html")
  )
}

/**
 * Returns true if a request names this server: a web page whose own name resolves to 127.0.0.1 (DNS rebinding) does
 * not.
 */
export function isForThisHost(host: string | undefined, onLoopback: boolean, domains: readonly string[]): boolean {
  if (!onLoopback || isLoopbackHost(host)) return true
  return domains.includes((host ?? "").toLowerCase().replace(/:\d+$/, ""))
}

/** The page explains this address and links to the admin page. */
export function welcomePage(adminUrl: string): PlainAnswer {
  const url = escapeHtml(adminUrl)
  const html = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Hayloft</title>
<style>body{font:16px/1.5 system-ui,sans-serif;max-width:40em;margin:4em auto;padding:0 1em}</style>
<h1>Hayloft</h1>
<p>This address speaks the S3 protocol: give it to an S3 client as its endpoint.</p>
<p>The page for people is at <a href="${url}">${url}</a>.</p>
</html>
`
  const headers = [
    "Content-Type",
    "text/html; charset=utf-8",
    "Cache-Control",
    "no-store",
    "X-Content-Type-Options",
    "nosniff",
  ]
  return { status: 200, headers, body: Buffer.from(html, "utf8") }
}
