/** Queues: what they hold, the oldest messages of one, and pausing, emptying and deleting them. */
import { useSignal } from "@preact/signals"
import { api } from "../api/client.js"
import { useLive } from "../api/live.js"
import type { Queue, QueueMessage, QueueMessages, Queues } from "../api/shapes.js"
import { AccountName, useAccountNames } from "../parts/account-name.js"
import { ActionButton, ConfirmButton } from "../parts/action-button.js"
import { Button } from "../parts/button.js"
import { FormDialog } from "../parts/dialog.js"
import { TextField } from "../parts/fields.js"
import { countText, sizeText, timeText } from "../parts/format.js"
import { Badge, Facts, Page, Section, type PageProps } from "../parts/page.js"
import { PagedTable } from "../parts/paged-table.js"
import { EmptyState, Loaded } from "../parts/states.js"
import { DataTable, type Column } from "../parts/table.js"
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
    title: "Account",
    cell: ({ account }) => <AccountName id={account} nameOf={nameOf} />,
    sortBy: ({ account }) => nameOf(account),
  },
  number("due", "Due"),
  number("inFlight", "In flight"),
  number("delayed", "Delayed"),
  { key: "bytes", title: "Size", align: "end", cell: ({ bytes }) => sizeText(bytes), sortBy: ({ bytes }) => bytes },
  { key: "pause", title: "State", cell: queue => <PauseBadge queue={queue} /> },
]

const MESSAGE_COLUMNS: readonly Column<QueueMessage>[] = [
  { key: "id", title: "Message", cell: ({ id }) => <code>{id}</code> },
  { key: "created", title: "Added", cell: ({ createdMs }) => timeText(createdMs) },
  { key: "deliveries", title: "Deliveries", align: "end", cell: ({ deliveries }) => countText(deliveries) },
  { key: "from", title: "Moved from", cell: ({ movedFrom }) => movedFrom ?? "–" },
  { key: "body", title: "Body", cell: ({ body }) => body.slice(0, 120) },
]

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
        )}
      </Loaded>
      {isCreating.value && <CreateDialog onClose={() => (isCreating.value = false)} onDone={live.refresh} />}
    </Page>
  )
}

function QueueActions({ queue, onDone }: { readonly queue: Queue; readonly onDone: () => void }) {
  const { name, pause } = queue
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
    <div class="actions">
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
        kind="danger"
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

const secondsText = (seconds: number): string => `${countText(seconds)} s`

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
                ["Due again after", secondsText(value.visibilitySeconds)],
                ["Kept for", secondsText(value.retentionSeconds)],
                [
                  "Too many deliveries",
                  value.redrive ? `after ${value.redrive.maxDeliveries} to ${value.redrive.deadQueue}` : "–",
                ],
              ]}
            />
            <QueueActions queue={value} onDone={queue.refresh} />
          </Section>
        )}
      </Loaded>
      <Section title="Oldest messages" hint="Those that are due. Looking at them does not deliver them.">
        <Loaded live={messages}>
          {value => (
            <DataTable
              caption="Oldest messages"
              columns={MESSAGE_COLUMNS}
              rows={value.messages}
              rowKey={({ id }) => id}
              empty={<EmptyState title="No message is due" icon="queue" />}
            />
          )}
        </Loaded>
      </Section>
    </Page>
  )
}

export function QueuesPage({ segments: [account, name] }: PageProps) {
  return account === undefined || name === undefined ? <QueueList /> : <OneQueue account={account} name={name} />
}
