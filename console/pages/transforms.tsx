/** Transforms: which steps there are, the modules of administrators, what their processes have to do, and which results are kept. */
import { useSignal } from "@preact/signals"
import { api, request } from "../api/client.js"
import { useLive, type Live } from "../api/live.js"
import type { TransformModule, Transforms, TransformStep } from "../api/shapes.js"
import { ConfirmButton } from "../parts/action-button.js"
import { CreateSection } from "../parts/create-section.js"
import { FormDialog } from "../parts/dialog.js"
import { FileField, TextField } from "../parts/fields.js"
import { countText, percentText, shareOf, sizeText, timeText } from "../parts/format.js"
import { Badge, Facts, Page, Section } from "../parts/page.js"
import { Meter } from "../parts/progress.js"
import { EmptyState, Loaded, Notice } from "../parts/states.js"
import { type Column, DataTable, sizeColumn } from "../parts/table.js"
import { toast } from "../parts/toast.js"

const EVERY_MS = 5_000
const PATH = "/v1/transforms"
/** The largest module over a slow line. */
const UPLOAD_MS = 5 * 60_000
const SHOWN_DIGITS = 12
const NAME = /^[a-z][a-z0-9-]{0,31}$/
/** The names that pipelines may have without a module of that name. */
const RESERVED = ["none"]

const pathOf = (name: string): string => `${PATH}/modules/${encodeURIComponent(name)}`

const isOff = ({ value, error }: Live<unknown>): boolean => value === undefined && error?.code === "notImplemented"

function SwitchedOff() {
  return (
    <EmptyState title="Transforms are switched off" icon="transform">
      <p>
        Start the store with <code>--transforms</code>, on every node. Clients then read objects with{" "}
        <code>?x-transform=</code> and get them smaller, in another format, or single members of archives.
      </p>
    </EmptyState>
  )
}

const STEP_COLUMNS: readonly Column<TransformStep>[] = [
  { key: "name", title: "Step", cell: ({ name }) => <code>{name}</code> },
  {
    key: "state",
    narrow: "end",
    title: "State",
    cell: ({ isAvailable }) =>
      isAvailable ? <Badge kind="good">available</Badge> : <Badge kind="warning">not available</Badge>,
  },
  { key: "version", title: "Version", cell: ({ version }) => version ?? "–" },
]

function RemoveButton({ name, onDone }: { readonly name: string; readonly onDone: () => void }) {
  const title = `Remove ${name}`
  const remove = async (): Promise<void> => {
    await api.delete(pathOf(name))
    onDone()
  }
  return (
    <ConfirmButton
      {...{ title, label: title, work: remove }}
      question={
        <p>
          The module is deleted. Requests that name the step <code>{name}</code> then fail, and rules of buckets that
          name it leave objects as they are. This cannot be undone: keep the file of the module.
        </p>
      }
      done={`The module ${name} is removed`}
    >
      Remove
    </ConfirmButton>
  )
}

const moduleColumns = (onRemoved: () => void): readonly Column<TransformModule>[] => [
  { key: "name", title: "Module", cell: ({ name }) => <code>{name}</code>, sortBy: ({ name }) => name },
  sizeColumn(({ sizeBytes }) => sizeBytes),
  { key: "type", title: "Type of its results", cell: ({ contentType }) => contentType ?? "that of its input" },
  {
    key: "sha256",
    narrow: "minor",
    title: "SHA-256",
    cell: ({ sha256 }) => <code title={sha256}>{sha256.slice(0, SHOWN_DIGITS)}…</code>,
  },
  { key: "modified", title: "Uploaded", cell: ({ modifiedMs }) => timeText(modifiedMs), sortBy: row => row.modifiedMs },
  { key: "actions", title: "Actions", cell: ({ name }) => <RemoveButton {...{ name, onDone: onRemoved }} /> },
]

/** Returns why the name cannot be that of a module; undefined for a good one, and as long as nothing is typed. */
function nameProblem(name: string, { steps }: Transforms): string | undefined {
  if (name === "") return undefined
  if (!NAME.test(name)) return "Lower-case letters, digits and hyphens, 32 at most; a letter first."
  const isTaken = [...steps.map(step => step.name), ...RESERVED].includes(name)
  return isTaken ? `${name} is a step that every store has.` : undefined
}

function UploadDialog(props: {
  readonly report: Transforms
  readonly onClose: () => void
  readonly onDone: () => void
}) {
  const { report, onClose, onDone } = props
  const [name, type] = [useSignal(""), useSignal("")]
  const file = useSignal<File | undefined>(undefined)
  const problem = nameProblem(name.value, report)
  const isTooLarge = (file.value?.size ?? 0) > report.moduleBytesMax
  const upload = async (): Promise<void> => {
    const contentType = type.value.trim() === "" ? undefined : type.value.trim()
    const options = { headers: { "content-type": "application/wasm" }, query: { contentType }, timeoutMs: UPLOAD_MS }
    await request("PUT", pathOf(name.value), file.value, options)
    toast(`The module ${name.value} is a step now`)
    onDone()
  }
  const isValid = name.value !== "" && problem === undefined && file.value !== undefined && !isTooLarge
  return (
    <FormDialog title="Upload a module" action="Upload" isValid={isValid} work={upload} onClose={onClose}>
      <TextField
        label="Name"
        value={name}
        isCode
        isRequired
        error={problem}
        hint="Of the step, as pipelines name it."
      />
      <FileField
        label="File"
        value={file}
        accept=".wasm,application/wasm"
        isRequired
        hint={`A WebAssembly module of ${sizeText(report.moduleBytesMax)} at most.`}
        error={isTooLarge ? "The file is too large." : undefined}
      />
      <TextField label="Content type" value={type} isCode hint="Of its results. Empty: that of its input." />
      {report.modules.some(module => module.name === name.value) && (
        <Notice kind="warning">The module {name.value} is there already. It is replaced.</Notice>
      )}
    </FormDialog>
  )
}

function Modules({ report, onDone }: { readonly report: Transforms; readonly onDone: () => void }) {
  return (
    <CreateSection
      title="Modules"
      hint="Steps that administrators have uploaded. They run closed off: a module sees the bytes that it gets, and nothing else."
      action="Upload a module"
      dialog={onClose => <UploadDialog {...{ report, onClose, onDone }} />}
    >
      <DataTable
        caption="Modules"
        columns={moduleColumns(onDone)}
        rows={report.modules}
        rowKey={({ name }) => name}
        empty={<EmptyState title="No modules" icon="transform" />}
      />
    </CreateSection>
  )
}

function Load({ report: { threads, running, waiting, results } }: { readonly report: Transforms }) {
  const share = shareOf(results.sizeBytes, results.sizeBytesMax)
  const sizes = `${sizeText(results.sizeBytes)} of ${sizeText(results.sizeBytesMax)}, ${percentText(share)}`
  return (
    <>
      <Section title="Load" hint="Of the node that answers this page.">
        <Facts
          facts={[
            ["Processes at work", `${countText(running)} of ${countText(threads)}`],
            ["Requests that wait for a process", countText(waiting)],
          ]}
        />
      </Section>
      <Section
        title="Stored results"
        hint="What rules of buckets have made is kept, so that it is made once. What nobody asks for is removed; what exceeds the size is made at each request."
      >
        <Facts
          facts={[
            ["Results", countText(results.count)],
            ["Size", <Meter label="Size of stored results" share={share} text={sizes} />],
          ]}
        />
      </Section>
    </>
  )
}

export function TransformsPage() {
  const live = useLive<Transforms>(PATH, EVERY_MS)
  if (isOff(live))
    return (
      <Page title="Transforms" live={live}>
        <SwitchedOff />
      </Page>
    )
  return (
    <Page title="Transforms" live={live}>
      <Loaded live={live}>
        {report => (
          <>
            <Section title="Steps" hint="Those that every store has, if its node can run them.">
              <DataTable caption="Steps" columns={STEP_COLUMNS} rows={report.steps} rowKey={({ name }) => name} />
            </Section>
            <Modules report={report} onDone={live.refresh} />
            <Load report={report} />
          </>
        )}
      </Loaded>
    </Page>
  )
}
