/** Queues: what they hold, the oldest messages of one, and pausing, emptying and deleting them. */
import { useSignal } from "@preact/signals"
import { api, request } from "../api/client.js"
import { useLive, type Live } from "../api/live.js"
import type { Queue, QueueMessage, QueueMessages, Queues } from "../api/shapes.js"
import { AccountName, useAccountNames } from "../parts/account-name.js"
import { ActionButton, ConfirmButton } from "../parts/action-button.js"
import { Button } from "../parts/button.js"
import { Dialog, FormDialog } from "../parts/dialog.js"
import { TextAreaField, TextField } from "../parts/fields.js"
import { countText, durationText, sizeText, timeText } from "../parts/format.js"
import { Badge, Facts, Page, Section, type PageProps } from "../parts/page.js"
import { PagedTable } from "../parts/paged-table.js"
import { EmptyState, Loaded } from "../parts/states.js"
import { type Column, DataTable, sizeColumn } from "../parts/table.js"
import { Ago } from "../parts/time.js"
import { toast } from "../parts/toast.js"
import { pathTo } from "../shell/router.js"

const EVERY_MS = 5_000
const LIST = "/v1/queues"

const pathOf = ({ account, name }: Pick<Queue, "account" | "name">): string =>
  `${LIST}/${encodeURIComponent(account)}/${encodeURIComponent(name)}`

const PAUSED = { none: undefined, in: "accepts none", out: "delivers none", all: "paused" } as const

function PauseBadge({ queue: { pause } }: { readonly queue: Queue }) {
  const text = PAUSED[pause]
  return text === undefined ? <Badge kind="good">on</Badge> : <Badge kind="warning">{text}</Badge>
}

const number = (key: "due" | "inFlight" | "delayed" | "waiting", title: string): Column<Queue> => ({
  key,
  title,
  align: "end",
  cell: queue => countText(queue[key]),
  sortBy: queue => queue[key],
})

const columnsOf = (nameOf: (id: string) => string): readonly Column<Queue>[] => [
  {
    key: "name",
    title: "Queue",
    cell: ({ account, name }) => <a href={pathTo(["queues", account, name])}>{name}</a>,
    sortBy: ({ name }) => name,
  },
  {
    key: "account",
    narrow: "minor",
    title: "Account",
    cell: ({ account }) => <AccountName id={account} nameOf={nameOf} />,
    sortBy: ({ account }) => nameOf(account),
  },
  number("due", "Due"),
  number("inFlight", "In flight"),
  number("delayed", "Delayed"),
  sizeColumn(({ bytes }) => bytes),
  { key: "pause", narrow: "end", title: "State", cell: queue => <PauseBadge queue={queue} /> },
]

const messageColumns = (open: (message: QueueMessage) => void): readonly Column<QueueMessage>[] => [
  { key: "body", title: "Body", cell: ({ body }) => body.slice(0, 120) },
  sizeColumn(({ bytes }) => bytes),
  { key: "created", narrow: "plain", title: "Added", cell: ({ createdMs }) => <Ago timeMs={createdMs} /> },
  { key: "deliveries", title: "Deliveries", align: "end", cell: ({ deliveries }) => countText(deliveries) },
  { key: "from", title: "Moved from", cell: ({ movedFrom }) => movedFrom ?? "–" },
  {
    key: "details",
    narrow: "end",
    title: "Details",
    cell: message => (
      <Button kind="quiet" label={`Show ${message.id}`} onClick={() => open(message)}>
        Show
      </Button>
    ),
  },
]

function MessageDialog({ message, onClose }: { readonly message: QueueMessage; readonly onClose: () => void }) {
  const { id, body, bytes, createdMs, expiresMs, deliveries, movedFrom } = message
  return (
    <Dialog title="Message" onClose={onClose} footer={<Button onClick={onClose}>Close</Button>} isWide>
      <Facts
        facts={[
          ["Id", <code>{id}</code>],
          ["Size", sizeText(bytes)],
          ["Added", timeText(createdMs)],
          ["Removed at the latest", timeText(expiresMs)],
          ["Deliveries", countText(deliveries)],
          ...(movedFrom === undefined ? [] : [["Moved from", movedFrom] as const]),
        ]}
      />
      <Section title="Body" hint={body.length < bytes ? `The first ${countText(body.length)} characters.` : undefined}>
        <pre class="code preview-text" tabIndex={0} aria-label="Body">
          {body}
        </pre>
      </Section>
    </Dialog>
  )
}

function Messages({ live }: { readonly live: Live<QueueMessages> }) {
  const shown = useSignal<QueueMessage | undefined>(undefined)
  return (
    <Section title="Oldest messages" hint="Those that are due, 20 at most. Looking at them does not deliver them.">
      <Loaded live={live}>
        {value => (
          <DataTable
            caption="Oldest messages"
            columns={messageColumns(message => (shown.value = message))}
            rows={value.messages}
            rowKey={({ id }) => id}
            empty={<EmptyState title="No message is due" icon="queue" />}
          />
        )}
      </Loaded>
      {shown.value && <MessageDialog message={shown.value} onClose={() => (shown.value = undefined)} />}
    </Section>
  )
}

function CreateDialog({ onClose, onDone }: { readonly onClose: () => void; readonly onDone: () => void }) {
  const name = useSignal("")
  const isValid = /^[A-Za-z0-9_-]{1,80}$/.test(name.value)
  const create = async (): Promise<void> => {
    await api.post(LIST, { name: name.value })
    toast(`Created queue ${name.value}`)
    onDone()
  }
  return (
    <FormDialog title="New queue" action="Create queue" isValid={isValid} work={create} onClose={onClose}>
      <TextField
        label="Name"
        value={name}
        error={name.value === "" || isValid ? undefined : "Letters, digits, hyphens and underscores, 80 at most."}
        hint="Of the root account. Producers of the REST API make the queues that they add to."
      />
    </FormDialog>
  )
}

function QueueList() {
  const isCreating = useSignal(false)
  const live = useLive<Queues>(LIST, EVERY_MS)
  const nameOf = useAccountNames()
  return (
    <Page
      title="Queues"
      live={live}
      actions={
        <Button kind="primary" onClick={() => (isCreating.value = true)}>
          New queue
        </Button>
      }
    >
      <Loaded live={live}>
        {first => (
          <section class="card" aria-label="All queues">
            <PagedTable
              {...{ path: LIST, first, columns: columnsOf(nameOf), caption: "Queues" }}
              rowsOf={page => page.queues}
              rowKey={pathOf}
              empty={
                <EmptyState title="No queues" icon="queue">
                  Messages are added and received on the port of queues (--queue-listen).
                </EmptyState>
              }
            />
          </section>
        )}
      </Loaded>
      {isCreating.value && <CreateDialog onClose={() => (isCreating.value = false)} onDone={live.refresh} />}
    </Page>
  )
}

const DELAY_SECONDS_MAX = 30 * 86_400

function SendDialog(props: { readonly queue: Queue; readonly onClose: () => void; readonly onDone: () => void }) {
  const { queue, onClose, onDone } = props
  const [body, delay] = [useSignal(""), useSignal("")]
  const isDelayValid = /^\d{0,7}$/.test(delay.value) && Number(delay.value) <= DELAY_SECONDS_MAX
  const send = async (): Promise<void> => {
    await request("POST", `${pathOf(queue)}/messages`, body.value, {
      query: { delaySeconds: delay.value || undefined },
      headers: { "content-type": "text/plain" },
    })
    toast(`Sent a message to ${queue.name}`)
    onDone()
  }
  return (
    <FormDialog
      title={`Send a message to ${queue.name}`}
      action="Send"
      isValid={body.value !== "" && isDelayValid}
      work={send}
      onClose={onClose}
    >
      <TextAreaField label="Body" value={body} rows={6} isCode />
      <TextField
        label="Delay in seconds"
        value={delay}
        error={isDelayValid ? undefined : "A whole number, 30 days at most."}
        hint={`Before consumers get it. Empty: ${durationText(queue.delaySeconds)}, as the queue has it`}
      />
    </FormDialog>
  )
}

function QueueActions({ queue, onDone }: { readonly queue: Queue; readonly onDone: () => void }) {
  const { name, pause } = queue
  const isSending = useSignal(false)
  const path = pathOf(queue)
  const set = (value: Queue["pause"]) => async (): Promise<void> => {
    await api.post(path, { pause: value })
    onDone()
  }
  const purge = async (): Promise<void> => {
    await api.post(`${path}/purge`)
    onDone()
  }
  const remove = async (): Promise<void> => {
    await api.delete(path)
    location.assign(pathTo(["queues"]))
  }
  return (
    <div class="actions several">
      <Button kind="primary" onClick={() => (isSending.value = true)}>
        Send a message
      </Button>
      {isSending.value && <SendDialog {...{ queue, onDone }} onClose={() => (isSending.value = false)} />}
      {pause !== "all" && (
        <ActionButton work={set("all")} done={`${name} is paused`}>
          Pause
        </ActionButton>
      )}
      {pause !== "none" && (
        <ActionButton work={set("none")} done={`${name} goes on`}>
          Resume
        </ActionButton>
      )}
      <ConfirmButton
        title={`Empty ${name}`}
        question="All messages are removed, those in flight too. This cannot be undone."
        work={purge}
        done={`${name} is empty`}
      >
        Empty
      </ConfirmButton>
      <ConfirmButton
        title={`Delete ${name}`}
        question="The queue is deleted with all of its messages. This cannot be undone."
        work={remove}
        done={`Deleted queue ${name}`}
      >
        Delete
      </ConfirmButton>
    </div>
  )
}

function OneQueue({ account, name }: { readonly account: string; readonly name: string }) {
  const path = pathOf({ account, name })
  const queue = useLive<Queue>(path, EVERY_MS)
  const messages = useLive<QueueMessages>(`${path}/messages`, EVERY_MS)
  return (
    <Page title={name} live={queue} trail={[{ title: "Queues", to: pathTo(["queues"]) }]}>
      <Loaded live={queue}>
        {value => (
          <Section title="State">
            <Facts
              facts={[
                ["Due", countText(value.due)],
                ["In flight", countText(value.inFlight)],
                ["Delayed", countText(value.delayed)],
                ["Size", `${sizeText(value.bytes)} of ${sizeText(value.bytesMax)}`],
                ["Consumers that wait at this node", countText(value.waiting)],
                ["State", <PauseBadge queue={value} />],
                ["Due again after", durationText(value.visibilitySeconds)],
                ["Kept for", durationText(value.retentionSeconds)],
                [
                  "Too many deliveries",
                  value.redrive ? `after ${value.redrive.maxDeliveries} to ${value.redrive.deadQueue}` : "–",
                ],
              ]}
            />
            <QueueActions
              queue={value}
              onDone={() => {
                queue.refresh()
                messages.refresh()
              }}
            />
          </Section>
        )}
      </Loaded>
      <Messages live={messages} />
    </Page>
  )
}

export function QueuesPage({ segments: [account, name] }: PageProps) {
  return account === undefined || name === undefined ? <QueueList /> : <OneQueue account={account} name={name} />
}
