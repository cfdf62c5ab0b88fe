/** Buckets: what they hold, creating and deleting them, and one with its objects, settings and whatever else it has. */
import { useSignal } from "@preact/signals"
import type { ComponentChildren } from "preact"
import { addressOf, api } from "../api/client.js"
import { useLive, type Live } from "../api/live.js"
import type { Bucket, BucketSettings, Buckets } from "../api/shapes.js"
import { Button } from "../parts/button.js"
import { ConfirmDialog, FormDialog } from "../parts/dialog.js"
import { TextField } from "../parts/fields.js"
import { countText, plural, sizeText } from "../parts/format.js"
import { Icon } from "../parts/icon.js"
import { Menu } from "../parts/menu.js"
import { Badge, Page, type PageProps } from "../parts/page.js"
import { PagedTable } from "../parts/paged-table.js"
import { EmptyState, ErrorState, Loaded } from "../parts/states.js"
import { type Column, sizeColumn } from "../parts/table.js"
import { Tabs } from "../parts/tabs.js"
import { Ago } from "../parts/time.js"
import { toast } from "../parts/toast.js"
import { go, pathTo, place } from "../shell/router.js"
import { mayUse, ownAccount } from "../shell/session.js"
import { bucketPath, settingIn } from "./buckets-api.js"
import { CopiesTab } from "./buckets-copies.js"
import { DedupTab } from "./buckets-dedup.js"
import { FormsTab } from "./buckets-forms.js"
import { HistoryTab } from "./buckets-history.js"
import { InventoryTab } from "./buckets-inventory.js"
import { JsonTab } from "./buckets-json.js"
import { LifecycleTab } from "./buckets-lifecycle.js"
import { PackingTab } from "./buckets-packing.js"
import { PolicyTab } from "./buckets-policy.js"
import { PublicSection } from "./buckets-public.js"
import { UsageTab } from "./buckets-usage.js"
import { WhySection } from "./buckets-why.js"
import { BulkDialog, BulkJob } from "./objects-bulk.js"
import { NamedObject, ObjectsTab } from "./objects.js"

const EVERY_MS = 30_000

const COLUMNS: readonly Column<Bucket>[] = [
  {
    key: "name",
    title: "Bucket",
    cell: ({ name }) => (
      <a class="named" href={pathTo(["buckets", name])}>
        <Icon name="bucket" />
        <span>{name}</span>
      </a>
    ),
    sortBy: ({ name }) => name,
  },
  {
    key: "objects",
    title: "Objects",
    align: "end",
    cell: ({ usage }) => countText(usage.objects),
    sortBy: ({ usage }) => usage.objects,
  },
  sizeColumn(({ usage }) => usage.bytes),
  {
    key: "versioning",
    narrow: "minor",
    title: "Versioning",
    cell: ({ versioning }) => (versioning === "never" ? "off" : versioning),
  },
  {
    key: "created",
    narrow: "plain",
    title: "Created",
    cell: ({ createdMs }) => <Ago timeMs={createdMs} />,
    sortBy: ({ createdMs }) => createdMs,
  },
]

function CreateDialog({ onClose, onDone }: { readonly onClose: () => void; readonly onDone: () => void }) {
  const name = useSignal("")
  const owner = useSignal(ownAccount() ?? "")
  const create = async (): Promise<void> => {
    const ofOwner = owner.value.trim() === "" ? {} : { owner: owner.value.trim() }
    await api.post("/v1/buckets", { name: name.value.trim(), ...ofOwner })
    toast(`Created bucket ${name.value.trim()}`)
    onDone()
  }
  return (
    <FormDialog
      title="Create a bucket"
      action="Create"
      isValid={name.value.trim() !== ""}
      work={create}
      onClose={onClose}
    >
      <TextField label="Name" value={name} isRequired isCode hint="3 to 63 characters: a-z, 0-9, dots and hyphens" />
      {ownAccount() === undefined && (
        <TextField label="Owner" value={owner} isCode hint="Id of an account. Empty: the root account" />
      )}
    </FormDialog>
  )
}

function BucketList() {
  const path = addressOf("/v1/buckets", { owner: ownAccount() })
  const live = useLive<Buckets>(path, EVERY_MS)
  const [isCreating, text] = [useSignal(false), useSignal("")]
  const wanted = text.value.trim().toLowerCase()
  const action = mayUse("createBucket") && (
    <Button kind="primary" onClick={() => (isCreating.value = true)}>
      Create a bucket
    </Button>
  )
  return (
    <Page title="Buckets" live={live} actions={action}>
      <Loaded live={live}>
        {first => (
          <section class="card" aria-label="All buckets">
            {(first.buckets.length > 5 || wanted !== "") && (
              <div class="toolbar">
                <label class="search-box">
                  <span class="sr-only">Filter by name</span>
                  <Icon name="search" />
                  <input
                    type="search"
                    placeholder="Filter by name"
                    value={text.value}
                    spellcheck={false}
                    onInput={event => (text.value = event.currentTarget.value)}
                  />
                </label>
              </div>
            )}
            <PagedTable
              caption="Buckets"
              path="/v1/buckets"
              query={{ owner: ownAccount() }}
              first={first}
              rowsOf={({ buckets }) => buckets.filter(({ name }) => name.includes(wanted))}
              rowKey={({ name }) => name}
              columns={COLUMNS}
              empty={
                <EmptyState title={wanted === "" ? "There is no bucket yet" : "No name fits"} icon="bucket">
                  {wanted === "" && (
                    <p>
                      Create one here, or with a client: <a href={pathTo(["overview"])}>its first lines</a>.
                    </p>
                  )}
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

/** The settings of a bucket, once a tab shows one. */
function Settings(props: {
  readonly bucket: string
  readonly children: (settings: BucketSettings, refreshed: () => Promise<void>) => ComponentChildren
}) {
  const live = useLive<BucketSettings>(bucketPath(props.bucket, "settings"))
  return <Loaded live={live}>{settings => props.children(settings, live.refreshed)}</Loaded>
}

function OneSetting(props: { readonly bucket: string; readonly setting: string; readonly tab: typeof PolicyTab }) {
  const { bucket, setting, tab: Tab } = props
  return (
    <Settings bucket={bucket}>
      {(settings, refreshed) => {
        const found = settingIn(settings, setting)
        if (found === undefined) return <EmptyState title={`There is no setting ${setting}`} />
        if (found.refused !== undefined) return <EmptyState title="You may not see this">{found.refused}</EmptyState>
        return <Tab key={JSON.stringify(found)} found={found} bucket={bucket} onSaved={refreshed} />
      }}
    </Settings>
  )
}

function AccessTab({ bucket }: { readonly bucket: string }) {
  return (
    <>
      <Settings bucket={bucket}>
        {(settings, refreshed) => <PublicSection {...{ bucket, settings }} onSaved={refreshed} />}
      </Settings>
      <OneSetting bucket={bucket} setting="policy" tab={PolicyTab} />
      {mayUse("explainDenial") && <WhySection />}
    </>
  )
}

function BucketTabs({ name, live }: { readonly name: string; readonly live: Live<Bucket> }) {
  const bucket = live.value
  const ofSetting = (setting: string, tab: typeof PolicyTab) => () => (
    <OneSetting key={setting} bucket={name} setting={setting} tab={tab} />
  )
  return (
    <Tabs
      label={`Bucket ${name}`}
      tabs={[
        { key: "objects", title: "Objects", content: () => <ObjectsTab bucket={name} keeping={bucket} /> },
        { key: "usage", title: "Overview", content: () => <UsageTab name={name} bucket={bucket} /> },
        { key: "policy", title: "Access", content: () => <AccessTab bucket={name} /> },
        {
          key: "settings",
          title: "Settings",
          content: () => (
            <Settings bucket={name}>
              {(settings, refreshed) => <FormsTab {...{ settings }} bucket={name} onSaved={refreshed} />}
            </Settings>
          ),
        },
      ]}
      more={[
        { key: "lifecycle", title: "Lifecycle", content: ofSetting("lifecycle", LifecycleTab) },
        {
          key: "history",
          title: "History",
          content: () => <Loaded live={live}>{found => <HistoryTab bucket={found} />}</Loaded>,
        },
        {
          key: "inventory",
          title: "Inventory",
          content: () => <Loaded live={live}>{found => <InventoryTab bucket={found} />}</Loaded>,
        },
        { key: "dedup", title: "Deduplication", content: ofSetting("dedup", DedupTab) },
        { key: "packing", title: "Packing", content: ofSetting("packing", PackingTab) },
        { key: "copies", title: "Copies", content: ofSetting("copies", CopiesTab) },
        {
          key: "json",
          title: "JSON",
          content: () => (
            <Settings bucket={name}>
              {(settings, refreshed) => <JsonTab {...{ settings }} bucket={name} onSaved={refreshed} />}
            </Settings>
          ),
        },
      ]}
    />
  )
}

/** Only an empty bucket can be deleted: of another one it says what it has. */
function DeleteDialog(props: {
  readonly name: string
  readonly bucket: Bucket | undefined
  readonly onClose: () => void
  readonly onEmpty: () => void
}) {
  const { name, bucket, onClose, onEmpty } = props
  const { objects = 0, versions = 0, bytes = 0 } = bucket?.usage ?? {}
  const title = "Delete the bucket"
  if (objects > 0 || versions > 0) {
    const has = `${plural(objects, "object")}, ${plural(versions, "version")} and delete markers, ${sizeText(bytes)}`
    return (
      <ConfirmDialog title={title} action="Empty the bucket first" onConfirm={onEmpty} onClose={onClose}>
        <p>
          {name} has {has}. Only an empty bucket can be deleted.
        </p>
      </ConfirmDialog>
    )
  }
  const remove = async (): Promise<void> => {
    await api.delete(bucketPath(name))
    toast(`Deleted bucket ${name}`)
    go(pathTo(["buckets"]))
  }
  return (
    <FormDialog {...{ title, onClose }} action={title} kind="danger" isValid work={remove}>
      <p>
        {bucket === undefined ? "Only an empty bucket can be deleted." : `${name} is empty.`} Its settings and its
        history go with it.
      </p>
    </FormDialog>
  )
}

/** The bucket in one line below its name. */
function Summary({ bucket: { usage, versioning } }: { readonly bucket: Bucket }) {
  return (
    <p class="summary">
      {plural(usage.objects, "object")}, {sizeText(usage.bytes)}
      {versioning === "enabled" && <Badge kind="neutral">versioning</Badge>}
      {versioning === "suspended" && <Badge kind="neutral">versioning suspended</Badge>}
    </p>
  )
}

function OneBucket({ name }: { readonly name: string }) {
  const live = useLive<Bucket>(bucketPath(name), EVERY_MS)
  const bucket = live.value
  const dialog = useSignal<"delete" | "empty" | undefined>(undefined)
  const job = useSignal<string | undefined>(undefined)
  const close = () => (dialog.value = undefined)
  const open = (next: "delete" | "empty") => () => (dialog.value = next)
  const items = [
    ...(mayUse("startJob") ? [{ title: "Empty the bucket", onSelect: open("empty") }] : []),
    ...(mayUse("deleteBucket") ? [{ title: "Delete the bucket", isDanger: true, onSelect: open("delete") }] : []),
  ]
  const trail = [{ title: "Buckets", to: pathTo(["buckets"]) }]
  if (live.error?.status === 404)
    return (
      <Page title={name} trail={trail}>
        <ErrorState error={live.error} onRetry={live.refresh} />
      </Page>
    )
  const isOfObjects = (place.value.query.get("tab") ?? "objects") === "objects"
  const kind = bucket?.versioning === "never" ? "delete-objects" : "delete-versions"
  return (
    <Page
      title={name}
      // The objects have a button of their own.
      {...(isOfObjects ? {} : { live })}
      trail={trail}
      actions={items.length > 0 && <Menu label="Bucket actions" text="Actions" kind="plain" items={items} />}
      summary={bucket && <Summary bucket={bucket} />}
    >
      <BulkJob job={job} onEnd={live.refresh} />
      <BucketTabs name={name} live={live} />
      {dialog.value === "delete" && <DeleteDialog {...{ name, bucket }} onClose={close} onEmpty={open("empty")} />}
      {dialog.value === "empty" && (
        <BulkDialog
          scope={{ bucket: name, prefix: "", hasVersions: false, kind, title: "Empty the bucket" }}
          keeping={bucket}
          onClose={close}
          onStarted={id => (job.value = id)}
        />
      )}
    </Page>
  )
}

export function BucketsPage({ segments: [name] }: PageProps) {
  if (name === undefined) return <BucketList />
  return place.value.query.has("key") ? <NamedObject key={name} bucket={name} /> : <OneBucket key={name} name={name} />
}
