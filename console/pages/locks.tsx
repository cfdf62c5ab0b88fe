/** Coordination: the locks and small files of each namespace, and the sessions of clients that hold them. */
import { useSignal } from "@preact/signals"
import { addressOf, api } from "../api/client.js"
import { useLive, type Live } from "../api/live.js"
import type {
  CoordFile,
  CoordFiles,
  CoordLock,
  CoordLocks,
  CoordNamespace,
  CoordNamespaces,
  CoordSession,
  CoordSessions,
} from "../api/shapes.js"
import { AccountName, useAccountNames } from "../parts/account-name.js"
import { ConfirmButton } from "../parts/action-button.js"
import { countText, timeText } from "../parts/format.js"
import { Page, Section, type PageProps } from "../parts/page.js"
import { PagedTable } from "../parts/paged-table.js"
import { EmptyState, Loaded } from "../parts/states.js"
import { type Column, sizeColumn } from "../parts/table.js"
import { pathTo } from "../shell/router.js"

const EVERY_MS = 5_000
const BASE = "/v1/coordination"
/** Sessions of an account whose names are shown beside what they hold: the largest page. */
const NAMED = 1_000
const SHOWN_CHARACTERS = 120
const ID_CHARACTERS = 8

const TRAIL = [{ title: "Locks", to: pathTo(["locks"]) }]

const inPath = (...segments: readonly string[]): string => [BASE, ...segments.map(encodeURIComponent)].join("/")

const isOff = ({ value, error }: Live<unknown>): boolean => value === undefined && error?.code === "notImplemented"

function SwitchedOff() {
  return (
    <EmptyState title="Coordination is switched off" icon="lock">
      <p>
        Start the store with <code>--coordination</code>, on every node. Clients then take locks and write small files
        below <code>/coord/</code> of the admin port.
      </p>
    </EmptyState>
  )
}

/** A session beside what it holds: its name, if it has one that is known, and enough of its id to find it in the list. */
function SessionName({ id, name = "" }: { readonly id: string; readonly name?: string | undefined }) {
  return (
    <>
      {name} <code title={id}>{id.slice(0, ID_CHARACTERS)}…</code>
    </>
  )
}

const namespaceNumber = (key: "locks" | "files", title: string): Column<CoordNamespace> => ({
  key,
  title,
  align: "end",
  cell: namespace => countText(namespace[key]),
  sortBy: namespace => namespace[key],
})

type NameOf = (account: string) => string

const namespaceColumns = (nameOf: NameOf): readonly Column<CoordNamespace>[] => [
  {
    key: "name",
    title: "Namespace",
    cell: ({ account, name }) => <a href={pathTo(["locks", account, name])}>{name}</a>,
    sortBy: ({ name }) => name,
  },
  {
    key: "account",
    narrow: "minor",
    title: "Account",
    cell: ({ account }) => <AccountName id={account} nameOf={nameOf} />,
  },
  namespaceNumber("locks", "Locks"),
  namespaceNumber("files", "Files"),
  sizeColumn(({ bytes }) => bytes),
]

function EndButton({ row, onDone }: { readonly row: CoordSession; readonly onDone: () => void }) {
  const { account, session, name, held } = row
  const title = `End ${name === "" ? session : name}`
  const end = async (): Promise<void> => {
    await api.delete(inPath("sessions", account, session))
    onDone()
  }
  return (
    <ConfirmButton
      {...{ title, label: title, work: end }}
      question={
        <p>
          The session <code>{session}</code> ends with all that it holds ({countText(held)}): its locks go to others,
          its files are deleted. Its client has to begin another session. This cannot be undone.
        </p>
      }
      done={`The session ${name === "" ? session : name} has ended`}
    >
      End
    </ConfirmButton>
  )
}

const sessionColumns = (nameOf: NameOf, onEnded: () => void): readonly Column<CoordSession>[] => [
  {
    key: "session",
    title: "Session",
    cell: ({ session, name }) => (
      <>
        {name !== "" && <div>{name}</div>}
        <code>{session}</code>
      </>
    ),
    sortBy: ({ name }) => name,
  },
  {
    key: "account",
    narrow: "minor",
    title: "Account",
    cell: ({ account }) => <AccountName id={account} nameOf={nameOf} />,
  },
  { key: "principal", title: "Begun by", cell: ({ principal }) => principal },
  { key: "held", title: "Holds", align: "end", cell: ({ held }) => countText(held), sortBy: ({ held }) => held },
  {
    key: "lease",
    title: "Lease and grace",
    cell: ({ leaseSeconds, graceSeconds }) => `${countText(leaseSeconds)} s + ${countText(graceSeconds)} s`,
  },
  { key: "renewed", title: "Renewed", cell: ({ renewedMs }) => timeText(renewedMs), sortBy: row => row.renewedMs },
  { key: "actions", title: "Actions", cell: row => <EndButton row={row} onDone={onEnded} /> },
]

function Sessions({ live, nameOf }: { readonly live: Live<CoordSessions>; readonly nameOf: NameOf }) {
  // Later pages are loaded again after a session was ended.
  const ended = useSignal(0)
  const onEnded = (): void => {
    ended.value += 1
    live.refresh()
  }
  return (
    <Section title="Sessions" hint="Locks and files end with the session of their client.">
      <Loaded live={live}>
        {first => (
          <PagedTable
            key={ended.value}
            {...{ path: `${BASE}/sessions`, first, columns: sessionColumns(nameOf, onEnded), caption: "Sessions" }}
            rowsOf={page => page.sessions}
            rowKey={({ account, session }) => `${account}/${session}`}
            empty={<EmptyState title="No sessions" icon="lock" />}
          />
        )}
      </Loaded>
    </Section>
  )
}

function NamespaceList() {
  const path = `${BASE}/namespaces`
  const namespaces = useLive<CoordNamespaces>(path, EVERY_MS)
  const nameOf = useAccountNames()
  const sessions = useLive<CoordSessions>(`${BASE}/sessions`, EVERY_MS)
  if (isOff(namespaces))
    return (
      <Page title="Locks" live={namespaces}>
        <SwitchedOff />
      </Page>
    )
  return (
    <Page title="Locks" live={namespaces}>
      <Section title="Namespaces" hint="The first name of a path is its namespace.">
        <Loaded live={namespaces}>
          {first => (
            <PagedTable
              {...{ path, first, columns: namespaceColumns(nameOf), caption: "Namespaces" }}
              rowsOf={page => page.namespaces}
              rowKey={({ account, name }) => `${account}/${name}`}
              empty={
                <EmptyState title="No namespaces" icon="lock">
                  <p>Clients make them with the first lock or file.</p>
                </EmptyState>
              }
            />
          )}
        </Loaded>
      </Section>
      <Sessions live={sessions} nameOf={nameOf} />
    </Page>
  )
}

type Names = ReadonlyMap<string, string>

/** A lock with one of its holders, if it has any. */
interface LockRow {
  readonly lock: CoordLock
  readonly holder: CoordLock["holders"][number] | undefined
}

const rowsOfLock = (lock: CoordLock): readonly LockRow[] =>
  lock.holders.length === 0 ? [{ lock, holder: undefined }] : lock.holders.map(holder => ({ lock, holder }))

const lockColumns = (names: Names): readonly Column<LockRow>[] => [
  { key: "path", title: "Lock", cell: ({ lock }) => lock.path, sortBy: ({ lock }) => lock.path },
  { key: "mode", title: "Mode", cell: ({ lock }) => lock.mode },
  {
    key: "holder",
    title: "Held by",
    cell: ({ holder }) => (holder ? <SessionName id={holder.session} name={names.get(holder.session)} /> : "–"),
  },
  { key: "value", title: "Value", cell: ({ holder }) => holder?.value.slice(0, SHOWN_CHARACTERS) || "–" },
  { key: "since", title: "Since", cell: ({ holder }) => (holder ? timeText(holder.sinceMs) : "–") },
  { key: "token", title: "Token", align: "end", cell: ({ holder }) => holder?.token ?? "–" },
  {
    key: "waiting",
    title: "Waiting",
    align: "end",
    cell: ({ lock }) => countText(lock.waiting.length),
    sortBy: ({ lock }) => lock.waiting.length,
  },
]

const fileColumns = (names: Names): readonly Column<CoordFile>[] => [
  { key: "path", title: "File", cell: ({ path }) => path, sortBy: ({ path }) => path },
  { key: "version", title: "Version", align: "end", cell: ({ version }) => version },
  sizeColumn(({ bytes }) => bytes),
  { key: "modified", title: "Written", cell: ({ modifiedMs }) => timeText(modifiedMs), sortBy: row => row.modifiedMs },
  {
    key: "session",
    title: "Ends with",
    cell: ({ session }) => (session === undefined ? "–" : <SessionName id={session} name={names.get(session)} />),
  },
]

function OneNamespace({ account, name }: { readonly account: string; readonly name: string }) {
  const [locksPath, filesPath] = [inPath("locks", account, name), inPath("files", account, name)]
  const locks = useLive<CoordLocks>(locksPath, EVERY_MS)
  const files = useLive<CoordFiles>(filesPath, EVERY_MS)
  const sessionsPath = addressOf(`${BASE}/sessions`, { max: NAMED, account })
  const sessions = useLive<CoordSessions>(sessionsPath, EVERY_MS)
  const names: Names = new Map(sessions.value?.sessions.map(({ session, name: known }) => [session, known] as const))
  if (isOff(locks))
    return (
      <Page title={name} live={locks} trail={TRAIL}>
        <SwitchedOff />
      </Page>
    )
  return (
    <Page title={name} live={locks} trail={TRAIL}>
      <Section title="Locks" hint="Those that are held or waited for. A shared lock has a row for each holder.">
        <Loaded live={locks}>
          {first => (
            <PagedTable
              {...{ path: locksPath, first, columns: lockColumns(names), caption: "Locks" }}
              rowsOf={page => page.locks.flatMap(rowsOfLock)}
              rowKey={({ lock, holder }) => `${lock.path} ${holder?.session ?? ""}`}
              empty={<EmptyState title="No lock is held" icon="lock" />}
            />
          )}
        </Loaded>
      </Section>
      <Section title="Files">
        <Loaded live={files}>
          {first => (
            <PagedTable
              {...{ path: filesPath, first, columns: fileColumns(names), caption: "Files" }}
              rowsOf={page => page.files}
              rowKey={({ path }) => path}
              empty={<EmptyState title="No files" icon="objects" />}
            />
          )}
        </Loaded>
      </Section>
    </Page>
  )
}

export function LocksPage({ segments: [account, name] }: PageProps) {
  return account === undefined || name === undefined ? (
    <NamespaceList />
  ) : (
    <OneNamespace account={account} name={name} />
  )
}
