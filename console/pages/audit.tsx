/** The page of the audit log: who changed what, with filters; a record shows its request, and what differs afterwards. */
import { useSignal } from "@preact/signals"
import { useId } from "preact/hooks"
import { addressOf, api } from "../api/client.js"
import { useLive } from "../api/live.js"
import type { AuditEntry, AuditPage as Entries } from "../api/shapes.js"
import { useAccountNames } from "../parts/account-name.js"
import { ActionButton } from "../parts/action-button.js"
import { Button } from "../parts/button.js"
import { Dialog } from "../parts/dialog.js"
import { Form, TextField } from "../parts/fields.js"
import { countText, timeText } from "../parts/format.js"
import { Facts, Page, Section } from "../parts/page.js"
import { FilterButton } from "../parts/filter-button.js"
import { PagedTable } from "../parts/paged-table.js"
import { saveFile } from "../parts/save-file.js"
import { EmptyState, Loaded } from "../parts/states.js"
import type { Column } from "../parts/table.js"
import { toast } from "../parts/toast.js"
import { place, setQuery } from "../shell/router.js"
import { diffOf } from "./audit-diff.js"

const EVERY_MS = 30_000
const FILTERS = ["caller", "operation", "target", "sinceMs", "untilMs"] as const

const outcomeOf = ({ ended }: AuditEntry): string => ended?.outcome ?? "unknown"
const callerOf = ({ caller }: AuditEntry): string => (caller.name === "" ? caller.kind : caller.name)

/** The name that people know: `user/ann` for an ARN. */
const shortCaller = (entry: AuditEntry): string => callerOf(entry).replace(/^arn:.*:/, "")

const ACCOUNT_ID = /[0-9a-f]{64}/g

const columnsOf = (
  open: (entry: AuditEntry) => void,
  nameOf: (account: string) => string,
): readonly Column<AuditEntry>[] => [
  { key: "at", narrow: "plain", title: "Time", cell: ({ atMs }) => <span class="whole">{timeText(atMs)}</span> },
  {
    key: "who",
    narrow: "plain",
    title: "Who",
    cell: entry => <span title={callerOf(entry)}>{shortCaller(entry)}</span>,
  },
  {
    key: "operation",
    narrow: "name",
    title: "Operation",
    cell: ({ operation }) => <span class="words">{operation}</span>,
  },
  {
    key: "target",
    narrow: "plain",
    title: "On",
    cell: ({ target }) => (target === "" ? "–" : <span title={target}>{target.replace(ACCOUNT_ID, nameOf)}</span>),
  },
  { key: "outcome", narrow: "plain", title: "Outcome", cell: entry => <span class="words">{outcomeOf(entry)}</span> },
  {
    key: "details",
    narrow: "end",
    title: "Details",
    cell: entry => (
      <Button kind="quiet" label={`Show ${entry.operation}`} onClick={() => open(entry)}>
        Show
      </Button>
    ),
  },
]

const MARKS = { same: " ", removed: "-", added: "+" } as const
const WORDS = { same: undefined, removed: "removed", added: "added" } as const

function Difference({ before, after }: Pick<AuditEntry, "before" | "after">) {
  if (before === undefined && after === undefined) return <p>Nothing was recorded of the state before and after.</p>
  return (
    <pre class="code" tabIndex={0} aria-label="Before and after">
      {diffOf(before, after).map(({ kind, text }, index) => (
        <div key={index} aria-label={WORDS[kind] && `${WORDS[kind]}: ${text}`}>
          {MARKS[kind]} {text}
        </div>
      ))}
    </pre>
  )
}

function Details({ entry, onClose }: { readonly entry: AuditEntry; readonly onClose: () => void }) {
  const { caller, requestId, request, before, after } = entry
  return (
    <Dialog title={entry.operation} onClose={onClose} footer={<Button onClick={onClose}>Close</Button>} isWide>
      <Facts
        facts={[
          ["Time", timeText(entry.atMs)],
          ["Who", `${callerOf(entry)}${caller.id === "" ? "" : ` (${caller.id})`}`],
          ["From", caller.address],
          ["On", entry.target === "" ? "–" : entry.target],
          ["Outcome", outcomeOf(entry)],
          ["Request id", requestId],
        ]}
      />
      {request !== undefined && (
        <Section title="Request">
          <pre class="code" tabIndex={0} aria-label="Request">
            {diffOf(request, request)
              .map(({ text }) => text)
              .join("\n")}
          </pre>
        </Section>
      )}
      <Section title="Before and after" hint="Lines that were removed begin with −, those that were added with +.">
        <Difference before={before} after={after} />
      </Section>
    </Dialog>
  )
}

function Records({ first, filter }: { readonly first: Entries; readonly filter: Readonly<Record<string, string>> }) {
  const shown = useSignal<AuditEntry | undefined>(undefined)
  const nameOf = useAccountNames()
  return (
    <>
      <PagedTable
        caption="Changes, the latest first"
        path="/v1/audit"
        query={filter}
        first={first}
        rowsOf={({ entries }) => entries}
        columns={columnsOf(entry => (shown.value = entry), nameOf)}
        rowKey={({ id }) => id}
        empty={<EmptyState title="No change matches" icon="audit" />}
      />
      {shown.value && <Details entry={shown.value} onClose={() => (shown.value = undefined)} />}
    </>
  )
}

/** More are fetched by a filter of a shorter time. */
const EXPORTED_MAX = 20_000

const inQuotes = (text: string): string => `"${text.replaceAll('"', '""')}"`

/** A cell that begins so would be a formula to a spreadsheet. */
const inert = (text: string): string => (/^[=+@\t\r-]/.test(text) ? `'${text}` : text)

const CSV_HEAD = ["time", "who", "id", "address", "operation", "on", "outcome", "request"]

const csvRow = (entry: AuditEntry): string =>
  [
    new Date(entry.atMs).toISOString(),
    callerOf(entry),
    entry.caller.id,
    entry.caller.address,
    entry.operation,
    entry.target,
    outcomeOf(entry),
    entry.requestId,
  ]
    .map(text => inQuotes(inert(text)))
    .join(",")

/** All records that the filter lets through, up to the limit. */
async function allEntries(filter: Readonly<Record<string, string>>): Promise<readonly AuditEntry[]> {
  const entries: AuditEntry[] = []
  let after: string | undefined
  do {
    const page = await api.get<Entries>(addressOf("/v1/audit", { ...filter, after }))
    entries.push(...page.entries)
    after = page.next
  } while (after !== undefined && entries.length < EXPORTED_MAX)
  if (after !== undefined) {
    toast(`Only the latest ${countText(entries.length)} records are exported: filter for a shorter time`, "failed")
  }
  return entries
}

function Export({ filter }: { readonly filter: Readonly<Record<string, string>> }) {
  const csv = async (): Promise<void> => {
    const entries = await allEntries(filter)
    saveFile("audit.csv", "text/csv", `${[CSV_HEAD.join(","), ...entries.map(csvRow)].join("\r\n")}\r\n`)
  }
  const json = async (): Promise<void> => {
    const entries = await allEntries(filter)
    saveFile("audit.json", "application/json", `${JSON.stringify(entries, undefined, 2)}\n`)
  }
  return (
    <>
      <ActionButton icon="download" label="Export as CSV" work={csv} done="Exported as audit.csv">
        CSV
      </ActionButton>
      <ActionButton icon="download" label="Export as JSON" work={json} done="Exported as audit.json">
        JSON
      </ActionButton>
    </>
  )
}

/** Returns the text of a time field, in local time; "" for no time. */
function fieldText(timeMs: string | undefined): string {
  const ms = Number(timeMs)
  if (!timeMs || !Number.isFinite(ms)) return ""
  return new Date(ms - new Date(ms).getTimezoneOffset() * 60_000).toISOString().slice(0, 16)
}

/** A minute is meant as a whole: `addedMs` leads to its end. */
function timeMsOf(text: string, addedMs = 0): string {
  const ms = Date.parse(text)
  return Number.isNaN(ms) ? "" : String(ms + addedMs)
}

export function AuditPage() {
  const given = Object.fromEntries(FILTERS.map(name => [name, place.value.query.get(name) ?? ""]))
  const [caller, operation, target] = [
    useSignal(given["caller"] ?? ""),
    useSignal(given["operation"] ?? ""),
    useSignal(given["target"] ?? ""),
  ]
  const [since, until] = [useSignal(fieldText(given["sinceMs"])), useSignal(fieldText(given["untilMs"]))]
  const filter = Object.fromEntries(Object.entries(given).filter(([, text]) => text !== ""))
  const path = addressOf("/v1/audit", filter)
  const entries = useLive<Entries>(path, EVERY_MS)
  const search = (): void => {
    const texts = {
      caller: caller.value,
      operation: operation.value,
      target: target.value,
      sinceMs: timeMsOf(since.value),
      untilMs: timeMsOf(until.value, 59_999),
    }
    setQuery(Object.fromEntries(Object.entries(texts).map(([name, text]) => [name, text.trim() || undefined])))
  }
  const active = Object.keys(filter).length
  const [isOpen, id] = [useSignal(active > 0), useId()]
  return (
    <Page title="Audit" live={entries} actions={<Export filter={filter} />}>
      <section class="card" aria-label="Records">
        <div class="toolbar">
          <p class="hint grow">Who changed what, the latest first.</p>
          <FilterButton {...{ id, active, isOpen }} />
        </div>
        {isOpen.value && (
          <div id={id} class="filter-panel">
            <Form label="Filter" onSubmit={search}>
              <div class="fields tight">
                <TextField label="Who" value={caller} hint="Name or id; * for anything" />
                <TextField label="Operation" value={operation} placeholder="s3:PutBucket*" />
                <TextField label="On" value={target} placeholder="a bucket or an ARN" />
                <TextField label="From" type="datetime-local" value={since} hint="In this browser's time zone" />
                <TextField label="Until" type="datetime-local" value={until} />
              </div>
              <div class="actions">
                <Button type="submit" kind="primary">
                  Search
                </Button>
              </div>
            </Form>
          </div>
        )}
        <Loaded live={entries}>{first => <Records key={path} first={first} filter={filter} />}</Loaded>
      </section>
    </Page>
  )
}
