/** The HTML pages of the admin port: no scripts, nothing secret, no external resources. */
import { escapeXml } from "@hayloft/base/text/xml-writer.js"
import type { HealthReport } from "@hayloft/node/index.js"

const STYLE = `
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif }
body { max-width: 38rem; margin: 3rem auto; padding: 0 1rem }
h1 { font-size: 1.4rem }
code { font-size: .95em }
pre { overflow-x: auto; padding: .8rem; border: 1px solid #8886; border-radius: 4px }
table { display: block; overflow-x: auto; border-collapse: collapse }
td, th { padding: .2rem .6rem; border: 1px solid #8886; text-align: left; vertical-align: top }
`

export const page = (title: string, body: string): string => `<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>${escapeXml(title)}</title><style>${STYLE}</style></head>
<body>
${body}
</body>
</html>
`

export function frontPage(version: string, { ready, reasons }: HealthReport, hasConsole: boolean): string {
  const health = ready ? (reasons.length === 0 ? "ready" : "ready, degraded") : "not ready"
  const list = reasons.length === 0 ? "" : `<ul>${reasons.map(reason => `<li>${escapeXml(reason)}</li>`).join("")}</ul>`
  return page(
    "Hayloft",
    `<h1>Hayloft ${escapeXml(version)}</h1>
<p>Health: <strong>${health}</strong></p>${list}
<p>${hasConsole ? '<a href="/console/">Console</a> · ' : ""}<a href="/docs/">Documentation</a> · <a href="/openapi.json">API of this port</a> · <a href="/metrics">metrics</a></p>
<p>On the machine itself, <code>hayloft status</code> shows more.</p>`,
  )
}

export function documentsPage(names: readonly string[]): string {
  const items = names.map(name => `<li><a href="/docs/${encodeURI(name)}">${escapeXml(name)}</a></li>`).join("\n")
  return page(
    "Hayloft documentation",
    `<h1>Documentation</h1>\n<ul>\n${items}\n</ul>\n<p><a href="/about">back</a></p>`,
  )
}
