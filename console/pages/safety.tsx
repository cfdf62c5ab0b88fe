/**
 * Shows what may fail now, what is being repaired and until when, what would hurt next, all that is wrong, and a map of
 * the devices. Everything comes from one status, so that its parts agree.
 */
import { useLive } from "../api/live.js"
import type { Device, Status } from "../api/shapes.js"
import { ShareBar } from "../parts/charts.js"
import { CopyButton } from "../parts/copy-button.js"
import { countText, durationText, listText, percentText, plural, sizeText } from "../parts/format.js"
import { Icon } from "../parts/icon.js"
import { Badge, Facts, Page, Section } from "../parts/page.js"
import { ProgressBar, WorkProgress } from "../parts/progress.js"
import { EmptyState, Loaded, Notice } from "../parts/states.js"
import { Ago } from "../parts/time.js"
import { pathTo } from "../shell/router.js"
import { DeviceMap } from "./safety-map.js"
import { placeOfDevice, problemsOf, shortNames, type Problem } from "./safety-problems.js"

const EVERY_MS = 5_000
const PARTITIONS = 65_536
const CRITICAL_SHOWN = 12
/** More are shown on request. */
const PROBLEMS_SHOWN = 8

type SafetyOfStore = Status["safety"]
type Answer = SafetyOfStore["mayFail"][number]
type Kind = "good" | "warning" | "danger"

/** The safety in a word, as `hayloft status` puts it. */
function verdictOf({ safeLosses, safeLossesWhenWhole, reasons }: SafetyOfStore): readonly [Kind, string] {
  if (safeLosses < 0) return ["danger", "Something cannot be read"]
  if (safeLosses === 0) return safeLossesWhenWhole > 0 ? ["danger", "At risk"] : ["warning", "Unprotected"]
  return safeLosses < safeLossesWhenWhole || reasons.length > 0 ? ["warning", "Degraded"] : ["good", "Safe"]
}

/** Something to do, with the page that explains it. */
interface Step {
  readonly text: string
  readonly command?: string | undefined
  readonly page: string
}

/** The step from a store that cannot lose a disk, though nothing is wrong. */
function nextStepOf({ safety, devices }: Status): Step | undefined {
  const { safeLosses, safeLossesWhenWhole, atRisk } = safety
  if (atRisk !== undefined || safeLosses > 0 || safeLossesWhenWhole > 0 || devices.length === 0) return undefined
  const isShared = devices.length > 1
  const text = isShared ? "Add a folder on another disk" : "Add a second disk"
  return { text, command: "hayloft device add /mnt/disk2/hayloft", page: "guide/lose-data-safely.md" }
}

function NextStep({ step }: { readonly step: Step | undefined }) {
  if (step === undefined) return null
  const { text, command, page } = step
  return (
    <p class="next-step">
      <span>
        {text}
        {command !== undefined && ":"}
      </span>
      {command !== undefined && (
        <span class="copied">
          <code>{command}</code>
          <CopyButton label="Copy the command" text={command} />
        </span>
      )}
      <a href={`/docs/${page}`}>Read more</a>
    </p>
  )
}

function Verdict({ status }: { readonly status: Status }) {
  const { safety, health } = status
  const [kind, word] = verdictOf(safety)
  return (
    <div class={`verdict ${kind}`}>
      <Icon name={kind === "good" ? "check" : "alert"} />
      <div>
        <p class="verdict-word">{word}</p>
        <p>{safety.sentence}</p>
        {!health.ready && <p>The store is not ready: it refuses requests.</p>}
        <NextStep step={nextStepOf(status)} />
      </div>
    </div>
  )
}

const sentenceOf = (text: string): string => `${text.slice(0, 1).toUpperCase()}${text.slice(1)}.`

/** The risk that can be repaired: how much, why, what repairs it, and one thing to do. */
function AtRisk({ status: { safety, devices } }: { readonly status: Status }) {
  if (safety.atRisk === undefined) return null
  const { what, because, repair, action, command, devices: causes } = safety.atRisk
  const names = shortNames(devices)
  return (
    <Section title="At risk">
      <Facts
        facts={[
          ["How much", sentenceOf(what)],
          [
            "Why",
            <>
              {sentenceOf(because)}{" "}
              {causes.slice(0, CRITICAL_SHOWN).map(id => (
                <a key={id} href={pathTo(["devices", id])}>
                  {names.get(id)}{" "}
                </a>
              ))}
            </>,
          ],
          ["What repairs it", sentenceOf(repair)],
          ["What to do", <NextStep step={{ text: action, command, page: "operate/find-out-what-is-wrong.md" }} />],
        ]}
      />
    </Section>
  )
}

const ANSWERS: Readonly<Record<Answer["answer"], readonly [Kind | "neutral", string]>> = {
  yes: ["good", "Yes"],
  no: ["danger", "No"],
  later: ["danger", "Not now"],
  unknown: ["neutral", "Unknown"],
}

function reasonOf({ what, answer, count, losses, because }: Answer): string {
  if (answer === "yes") return losses === 1 ? `any one of ${count} may fail` : `any ${losses} of ${count} may fail`
  const reason = because === "" ? "" : `because ${because}`
  return answer === "later"
    ? `any ${what} may fail once the store is complete${reason && `; not now, ${reason}`}`
    : reason
}

function MayFail({ safety }: { readonly safety: SafetyOfStore }) {
  const missing = (["disk", "machine", "zone"] as const).filter(
    each => !safety.mayFail.some(({ what }) => what === each),
  )
  return (
    <Section title="What may fail now">
      <ul class="answers">
        {safety.mayFail.map(answer => {
          const [kind, word] = ANSWERS[answer.answer]
          return (
            <li key={answer.what}>
              <span class="answer-what">Any {answer.what}</span>
              <Badge kind={kind}>{word}</Badge>
              <span class="answer-why">{reasonOf(answer)}</span>
            </li>
          )
        })}
      </ul>
      {missing.length > 0 && (
        <p class="hint">This store has no named {missing.map(what => `${what}s`).join(" or ")}.</p>
      )}
      {safety.reasons.length > 0 && <p class="hint">Not complete, because {listText(safety.reasons)}.</p>}
      <p class="hint">
        {safety.opensWithout === 0
          ? "At its next start the store waits until all of its disks are there."
          : `The store starts unattended without any ${plural(safety.opensWithout, "disk")}.`}
      </p>
    </Section>
  )
}

function RepairFacts({
  repair,
  safety,
}: {
  readonly repair: NonNullable<Status["repair"]>
  readonly safety: SafetyOfStore
}) {
  const { isPaused, partitionsScanned, partitionsRemaining, progress, rebuiltShards } = repair
  const isScanned = partitionsScanned >= PARTITIONS
  const isIdle = partitionsRemaining === 0 && progress.remainingBytes === 0
  const whole =
    safety.wholeInSeconds !== undefined
      ? `in about ${durationText(safety.wholeInSeconds)}`
      : safety.reasons.length === 0
        ? "it is"
        : "not known"
  return (
    <>
      {isPaused && <Notice kind="warning">Repair is paused: nothing is rebuilt until it is resumed.</Notice>}
      {!isScanned && (
        <div class="work">
          <ProgressBar label="Partitions scanned" share={partitionsScanned / PARTITIONS} />
          <p>{percentText(partitionsScanned / PARTITIONS)} of all partitions scanned; more may be missing</p>
        </div>
      )}
      {isIdle ? (
        <p>
          {safety.reasons.length > 0
            ? "Nothing is being rebuilt now."
            : isScanned
              ? "Nothing is missing."
              : "Nothing has been found missing yet."}
        </p>
      ) : (
        <WorkProgress label="Missing shards rebuilt" progress={progress} />
      )}
      <Facts
        facts={[
          ["Complete again", whole],
          [
            "Partitions to repair",
            isScanned || partitionsRemaining > 0 ? String(partitionsRemaining) : "not known yet",
          ],
          ["Rebuilt since start", plural(rebuiltShards, "shard")],
        ]}
      />
    </>
  )
}

function Repair({ status }: { readonly status: Status }) {
  const { repair, safety, layout, reencoding } = status
  return (
    <Section title="Repair and moves">
      {repair === undefined ? (
        <p class="faint">This node does no repair; what is being repaired is not known here.</p>
      ) : (
        <RepairFacts repair={repair} safety={safety} />
      )}
      {layout.transition !== undefined && (
        <>
          <h3>Moving to a new layout</h3>
          {layout.transition.progress === undefined ? (
            <p>How much remains is not known yet.</p>
          ) : (
            <WorkProgress label="Shards moved" progress={layout.transition.progress} />
          )}
        </>
      )}
      {reencoding !== undefined && (
        <>
          <h3>Re-encoding</h3>
          <WorkProgress label="Blocks re-encoded" progress={reencoding} />
        </>
      )}
    </Section>
  )
}

function levelName(losses: number): string {
  if (losses < 0) return "Not readable"
  return losses === 0 ? "Survive no lost disk" : `Survive any ${plural(losses, "lost disk")}`
}

const levelKind = (losses: number): string =>
  losses < 0 ? "danger" : losses === 0 ? "warning" : losses === 1 ? "info" : "good"

const isOneDisk = (devices: readonly Device[]): boolean =>
  devices.length > 1 &&
  devices.every(({ disk, node }) => disk !== undefined && disk === devices[0]?.disk && node === devices[0].node)

function HurtsNext({ status }: { readonly status: Status }) {
  const { safety, devices } = status
  const critical = devices.filter(({ id }) => safety.critical.includes(id))
  const names = shortNames(devices)
  const total = safety.levels.reduce((sum, { bytes }) => sum + bytes, 0)
  return (
    <Section title="What would hurt next" hint="Bytes of objects, by how many further lost disks they survive.">
      {total === 0 ? (
        <p class="faint">No bytes of objects are known yet.</p>
      ) : (
        <ShareBar
          label="Bytes of objects by the lost disks that they survive"
          parts={safety.levels.map(({ losses, bytes }) => ({
            name: levelName(losses),
            value: bytes,
            kind: levelKind(losses),
          }))}
          text={sizeText}
        />
      )}
      {critical.length > 0 && (
        <>
          <h3>Must not fail now</h3>
          <ul class="word-list">
            {critical.slice(0, CRITICAL_SHOWN).map(device => (
              <li key={device.id}>
                <a href={pathTo(["devices", device.id])} title={placeOfDevice(device)}>
                  {names.get(device.id)}
                </a>
              </li>
            ))}
          </ul>
          {isOneDisk(critical) && <p class="hint">They are folders on one disk, and fail together.</p>}
          {critical.length > CRITICAL_SHOWN && <p class="faint">and {critical.length - CRITICAL_SHOWN} more</p>}
        </>
      )}
      {critical.length === 0 && total > 0 && <p>No single disk stands out.</p>}
    </Section>
  )
}

function ProblemList({ problems }: { readonly problems: readonly Problem[] }) {
  return (
    <ul class="problems">
      {problems.map(({ kind, text, sinceMs, to }) => (
        <li key={text}>
          <Badge kind={kind}>{kind === "danger" ? "Fault" : "Warning"}</Badge>
          <span>
            {to === undefined ? text : <a href={pathTo(...to)}>{text}</a>}
            {sinceMs !== undefined && (
              <span class="faint">
                , <Ago timeMs={sinceMs} />
              </span>
            )}
          </span>
        </li>
      ))}
    </ul>
  )
}

function Problems({ status }: { readonly status: Status }) {
  const problems = problemsOf(status)
  const rest = problems.slice(PROBLEMS_SHOWN)
  return (
    <Section title="Faults and warnings">
      {problems.length === 0 ? (
        <EmptyState title="Nothing is wrong, as far as this server knows" icon="check" />
      ) : (
        <ProblemList problems={problems.slice(0, PROBLEMS_SHOWN)} />
      )}
      {rest.length > 0 && (
        <details class="values">
          <summary>{rest.length} more</summary>
          <ProblemList problems={rest} />
        </details>
      )}
    </Section>
  )
}

function Lost({ status }: { readonly status: Status }) {
  const { lostObjects = [], lostObjectsMin = 0, lostBlocks = 0 } = status.repair ?? {}
  if (lostBlocks === 0) return null
  const first =
    lostObjects.length < lostObjectsMin ? `The first of at least ${countText(lostObjectsMin)}` : "The first ones"
  return (
    <Section title="Objects that cannot be read" hint={`${first}; hayloft repair status lists them as well.`}>
      <ul class="plain-list">
        {lostObjects.map(({ bucket, key, what }) => (
          <li key={`${bucket}/${key} ${what}`}>
            <code>
              {bucket}/{key}
            </code>
            {what !== "object" && (
              <span class="faint"> ({what === "version" ? "an older version" : "a part of an upload"})</span>
            )}
          </li>
        ))}
      </ul>
    </Section>
  )
}

export function SafetyPage() {
  const status = useLive<Status>("/v1/status", EVERY_MS)
  return (
    <Page title="Safety" live={status}>
      <Loaded live={status}>
        {value => (
          <>
            <Verdict status={value} />
            <AtRisk status={value} />
            <div class="cards even">
              <MayFail safety={value.safety} />
              <Problems status={value} />
            </div>
            <Lost status={value} />
            <div class="cards even">
              <Repair status={value} />
              <HurtsNext status={value} />
            </div>
            <Section title="Zones, machines and disks">
              {value.devices.length === 0 ? (
                <EmptyState title="This store has no devices of its own" icon="device" />
              ) : (
                <DeviceMap devices={value.devices} />
              )}
            </Section>
          </>
        )}
      </Loaded>
    </Page>
  )
}
