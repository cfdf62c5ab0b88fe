/** Pages of a website that no object of it has: errors, as HTML for people. */
import type { S3Error } from "../failures.js"
import { escapeHtml } from "@hayloft/base/text/html-text.js"

const TITLES: Readonly<Record<number, string>> = {
  400: "Bad Request",
  403: "Forbidden",
  404: "Not Found",
  405: "Method Not Allowed",
  412: "Precondition Failed",
  416: "Requested Range Not Satisfiable",
  500: "Internal Server Error",
  503: "Service Unavailable",
}

const itemsOf = (error: Pick<S3Error, "code" | "message">): string =>
  `<li>Code: ${escapeHtml(error.code)}</li>\n<li>Message: ${escapeHtml(error.message)}</li>`

/** `second`: why the site's own page for errors cannot be shown either. */
export function errorPage(error: S3Error, requestId: string, second: S3Error | undefined): Uint8Array {
  const title = `${error.status} ${TITLES[error.status] ?? "Error"}`
  const more =
    second === undefined
      ? ""
      : `<h2>The error document of this website cannot be shown</h2>\n<ul>\n${itemsOf(second)}\n</ul>\n`
  const html = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>${title}</title>
<h1>${title}</h1>
<ul>
${itemsOf(error)}
<li>RequestId: ${escapeHtml(requestId)}</li>
</ul>
${more}</html>
`
  return Buffer.from(html, "utf8")
}
