import assert from "node:assert/strict"
import { test } from "node:test"
import { inspect } from "node:util"
import { must } from "../assert.js"
import { findFailure, simulate } from "./library.js"

type World = Parameters<Parameters<typeof simulate>[1]>[0]
type Process = Parameters<Parameters<ReturnType<World["machine"]>["start"]>[0]>[0]

const text = (bytes: Uint8Array | undefined): string => Buffer.from(bytes ?? []).toString("utf8")

/** Answers each message with itself. */
const echo = (process: Process) =>
  process.listen(1, async connection => {
    for (let message = await connection.receive(); message !== undefined; message = await connection.receive())
      connection.send(message)
  })

/** Machines that talk at random, whose notes say what happened when. */
async function chatter(world: World): Promise<readonly string[]> {
  await world.machine("a").start(echo)
  const talk = async (process: Process) => {
    const connection = await process.connect("a", 1)
    for (let i = 0; i < 20; i += 1) {
      connection.send(process.random.bytes(1 + process.random.below(100_000)))
      const answer = await connection.receive()
      process.note(`${answer?.length} bytes`)
      await process.sleep(process.random.below(5))
    }
  }
  await Promise.all(["b", "c"].map(name => world.machine(name).start(talk)))
  return world.notes
}

test("the same seed makes the same run, and another seed another", async () => {
  const [one, again, other] = [await simulate(1, chatter), await simulate(1, chatter), await simulate(2, chatter)]
  assert.equal(one.length, 40)
  assert.deepEqual(again, one)
  assert.notDeepEqual(other, one)
})

test("hours pass in a moment, and the wall clock jumps alone", () =>
  simulate(1, async world => {
    await world.machine("a").start(async process => {
      const [now, wall] = [process.nowMs(), process.wallMs()]
      await process.sleep(3_600_000)
      world.jumpWall(-7_200_000)
      assert.equal(process.nowMs() - now, 3_600_000)
      assert.equal(process.wallMs() - wall, -3_600_000)
    })
  }))

/** Writes two files, one of them synced, and says what is left after the end. */
const survivors = (end: (machine: ReturnType<World["machine"]>) => void) => async (world: World) => {
  const machine = world.machine("a")
  await machine.start(async ({ disk }) => {
    for (const name of ["synced", "open"]) {
      const file = await disk.open(name, "create")
      await file.write(Buffer.from(name), 0)
      if (name === "synced") await file.sync()
    }
    await disk.syncFolder(".")
  })
  end(machine)
  return machine.start(async ({ disk }) =>
    Promise.all(["synced", "open"].map(async name => text(await (await disk.open(name, "read")).read(0, 99)))),
  )
}

test("a power cut keeps what is synced and may lose the rest; a kill loses nothing", async () => {
  const afterCuts = new Set<string | undefined>()
  for (let seed = 1; seed <= 30; seed += 1) {
    const [synced, open] = await simulate(
      seed,
      survivors(machine => machine.cutPower()),
    )
    assert.equal(synced, "synced")
    afterCuts.add(open)
    assert.deepEqual(
      await simulate(
        seed,
        survivors(machine => machine.kill()),
      ),
      ["synced", "open"],
    )
  }
  assert.ok(afterCuts.has("open") && afterCuts.size > 1, [...afterCuts].join())
})

test("a program that was killed does nothing any more", () =>
  simulate(1, async world => {
    const machine = world.machine("a")
    let steps = 0
    void machine.start(async process => {
      for (;;) {
        await process.sleep(10)
        steps += 1
      }
    })
    await world.sleep(35)
    machine.kill()
    assert.equal(machine.isRunning, false)
    await world.sleep(100)
    assert.equal(steps, 3)
  }))

test("a partition holds messages until it heals, and a connection in time fails", () =>
  simulate(1, async world => {
    await world.machine("a").start(echo)
    world.partition(["a"], ["b"])
    const b = world.machine("b")
    const refused = await b.start(process => process.connect("a", 1, 100).catch((error: unknown) => error))
    assert.ok(refused instanceof Error && "code" in refused && refused.code === "ETIMEDOUT")
    b.kill()
    const answered = b.start(async process => {
      const connection = await process.connect("a", 1, 60_000)
      connection.send("hello")
      return [text(await connection.receive()), process.nowMs() > 1_000]
    })
    await world.sleep(1_000)
    world.heal()
    assert.deepEqual(await answered, ["hello", true])
  }))

test("large and empty messages arrive whole, and a close is seen behind them", () =>
  simulate(3, async world => {
    const received: number[] = []
    const done = new Promise<void>(resolve => {
      void world.machine("a").start(process =>
        process.listen(1, async connection => {
          for (let message = await connection.receive(); message; message = await connection.receive())
            received.push(message.length)
          resolve()
        }),
      )
    })
    await world.sleep(1)
    await world.machine("b").start(async process => {
      const connection = await process.connect("a", 1)
      for (const length of [0, 1, 1_000_000, 3]) connection.send(new Uint8Array(length))
      connection.close()
    })
    await done
    assert.deepEqual(received, [0, 1, 1_000_000, 3])
  }))

test("connections end when they are reset, or when messages are lost", async () => {
  const isEnded = async (world: World, act: () => void) => {
    await world.machine("a").start(echo)
    return world.machine("b").start(async process => {
      const connection = await process.connect("a", 1)
      act()
      for (let i = 0; i < 1_000; i += 1) {
        connection.send("x")
        if ((await connection.receive()) === undefined) return true
      }
      return false
    })
  }
  assert.equal(await simulate(1, world => isEnded(world, () => undefined)), false)
  assert.equal(await simulate(1, world => isEnded(world, () => undefined), { lossOneIn: 100 }), true)
  assert.equal(await simulate(1, world => isEnded(world, () => world.resetConnections())), true)
})

test("errors of the disk and the network have the codes of the system", () =>
  simulate(1, async world => {
    const machine = world.machine("a", { diskBytes: 1_000 })
    const codes = await machine.start(async process => {
      const { disk } = process
      const codeOf = (work: Promise<unknown>) =>
        work.then(
          () => "none",
          (error: unknown) => (error instanceof Error && "code" in error ? error.code : error),
        )
      const found = [await codeOf(disk.open("x", "read")), await codeOf(disk.remove("x"))]
      const file = await disk.open("x", "create")
      found.push(await codeOf(disk.open("x", "create")), await codeOf(file.write(new Uint8Array(2_000), 0)))
      machine.failDisk({ oneIn: 1, kind: "sync" })
      found.push(await codeOf(file.sync()), await codeOf(file.read(0, 1)))
      machine.failDisk({ oneIn: 0 })
      found.push(await codeOf(file.sync()), await codeOf(process.connect("b", 1)))
      return found
    })
    assert.deepEqual(codes, ["ENOENT", "ENOENT", "EEXIST", "ENOSPC", "EIO", "none", "none", "ECONNREFUSED"])
  }))

test("errors of programs fail the run, and what cannot end is stuck", async () => {
  const broken = (world: World) => world.machine("a").start(async () => Promise.reject(new Error("broken")))
  await assert.rejects(simulate(1, broken), /broken/)
  const brokenServer = async (world: World) => {
    await world.machine("a").start(process => process.listen(1, () => Promise.reject(new Error("no answer"))))
    await world.machine("b").start(async process => (await process.connect("a", 1)).receive())
  }
  await assert.rejects(simulate(1, brokenServer), /no answer/)
  const stuck = { name: "LibraryError", code: "stuck" }
  await assert.rejects(
    simulate(1, world => world.sleep(10_000), { limitMs: 1_000 }),
    stuck,
  )
  await assert.rejects(
    simulate(1, () => new Promise(() => undefined)),
    stuck,
  )
  const twice = async (world: World) => {
    await world.machine("a").start(echo)
    await world.machine("a").start(echo)
  }
  await assert.rejects(simulate(1, twice), { code: "isRunning" })
})

test("a search returns the first seed that fails, with its notes", async () => {
  const unlucky = async (world: World) => {
    await world.sleep(1)
    world.note("drawn")
    if (world.random.below(10) === 0) throw new Error(`seed ${world.seed}`)
  }
  const found = must(await findFailure({ count: 100 }, unlucky), "one in ten fails")
  assert.deepEqual([String(found.error), found.notes], [`Error: seed ${found.seed}`, ["1.000 ms drawn"]])
  assert.equal(await findFailure({ count: found.seed - 1 }, unlucky), undefined)
  assert.equal((await findFailure({ from: found.seed, count: 1 }, unlucky))?.seed, found.seed)
})

const codeOf = (work: Promise<unknown>): Promise<unknown> =>
  work.then(
    () => "none",
    (error: unknown) => (error instanceof Error && "code" in error ? error.code : error),
  )

test("a program that was killed takes no port and accepts no connection; one that runs takes each port once", () =>
  simulate(
    1,
    async world => {
      const [server, client] = [world.machine("db"), world.machine("client")]
      let isKilled: () => void = () => undefined
      const killed = new Promise<void>(resolve => (isKilled = resolve))
      void server.start(async process => {
        await killed
        await process.listen(1, connection => connection.send("from the dead"))
      })
      server.kill()
      isKilled()
      await world.sleep(1)
      await server.start(echo)
      assert.equal(await codeOf(server.start(echo)), "isRunning")
      // The server is killed between the two ways of a connection, which take a millisecond each.
      const answer = client.start(async process => (await process.connect("db", 1)).receive())
      await world.sleep(1.5)
      server.kill()
      assert.equal(await answer, undefined)
      client.kill()
      const twice = server.start(async process => {
        await echo(process)
        return codeOf(echo(process))
      })
      assert.equal(await twice, "EADDRINUSE")
    },
    { delayMs: { least: 1, most: 1 } },
  ))

test("a machine keeps its ports when one is killed whose name its own begins with", () =>
  simulate(1, async world => {
    await world.machine("db:1").start(echo)
    world.machine("db").kill()
    await world.machine("client").start(process => process.connect("db:1", 1))
  }))

test("an error that a program throws at once fails the run", async () => {
  const broken = (world: World) => {
    void world.machine("a").start(() => {
      throw new Error("at once")
    })
    return world.sleep(1)
  }
  await assert.rejects(simulate(1, broken), /at once/)
})

test("numbers that cannot be are refused with a code", async () => {
  const ends = () => Promise.resolve()
  const impossible = 2 ** 53
  const refused = async (work: (world: World) => unknown) =>
    assert.equal(await codeOf(simulate(1, async world => work(world))), "invalidNumber", String(work))
  for (const seed of [1.5, NaN, impossible]) await refused(() => simulate(seed, ends))
  for (const seeds of [
    { count: NaN },
    { count: 0 },
    { count: -1 },
    { count: 1.5 },
    { from: impossible, count: 1 },
    { from: impossible - 1, count: 2 },
  ])
    await refused(() => findFailure(seeds, ends))
  for (const options of [
    { limitMs: NaN },
    { limitMs: -1 },
    { limitMs: Infinity },
    { lossOneIn: 0.5 },
    { lossOneIn: NaN },
    { lossOneIn: -1 },
    { delayMs: { least: NaN, most: 1 } },
    { delayMs: { least: 2, most: 1 } },
  ]) {
    await refused(() => simulate(1, ends, options))
    await refused(() => findFailure({ count: 1 }, ends, options))
  }
  await refused(world => world.sleep(NaN))
  await refused(world => world.jumpWall(NaN))
  await refused(world => world.random.below(0))
  await refused(world => world.random.fork("a").bytes(-1))
  await refused(world => world.machine("a", { diskBytes: NaN }))
  await refused(world => world.machine("a", { diskDelayMs: { least: 0, most: NaN } }))
  for (const oneIn of [1.5, NaN, -1]) await refused(world => world.machine("a").failDisk({ oneIn }))
})

test("numbers of a program that cannot be are refused with a code, and the file stays as it was", async () => {
  const refused = async (work: (process: Process) => unknown) =>
    assert.equal(
      await codeOf(simulate(1, world => world.machine("a").start(async process => work(process)))),
      "invalidNumber",
      String(work),
    )
  await refused(process => process.sleep(NaN))
  await refused(process => process.connect("a", 1, NaN))
  await refused(process => process.random.below(1.5))
  await simulate(1, world =>
    world.machine("a").start(async ({ disk }) => {
      const file = await disk.open("x", "create")
      await file.write(Uint8Array.of(1), 0)
      for (const wrong of [NaN, -1, 0.5, Infinity]) {
        const calls = [
          file.write(Uint8Array.of(2), wrong),
          file.truncate(wrong),
          file.read(wrong, 1),
          file.read(0, wrong),
        ]
        for (const call of calls) assert.equal(await codeOf(call), "invalidNumber", String(wrong))
      }
      assert.deepEqual(await file.read(0, 2), Uint8Array.of(1))
    }),
  )
})

test("what is sent after a close, or after the end, is dropped", () =>
  simulate(1, async world => {
    const received: string[] = []
    const ended = new Promise<void>(resolve => {
      void world.machine("a").start(process =>
        process.listen(1, async connection => {
          for (let message = await connection.receive(); message; message = await connection.receive())
            received.push(text(message))
          for (let i = 0; i < 3; i += 1) connection.send("after the end")
          assert.match(inspect(connection), /unsent: \[\]/)
          resolve()
        }),
      )
    })
    await world.machine("b").start(async process => {
      const connection = await process.connect("a", 1)
      connection.send("before")
      connection.close()
      connection.send("at once")
      await process.sleep(0)
      connection.send("later")
      connection.close()
    })
    await ended
    assert.deepEqual(received, ["before"])
  }))
