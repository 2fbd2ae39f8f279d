// §5 Values, State and identity; §3 strictness and the names of fields.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { encode, ExtData } from "@msgpack/msgpack";
import { bytesFor, bytesOf, cells, everywhere, failure, timeFor, timeOf, WS_JSON } from "./matrix.mjs";
import { Peer } from "./raw.mjs";
import { client, server } from "./suite.mjs";

const BINDING = (target) => `Failed to invoke '${target}' due to an error on the server.`;

const anything = [
  null, true, false, 0, 1, -1, 127, 128, 255, 256, -32, -33, -128, -129, 32767, -32768, 65535, 65536, 2147483647, -2147483648, 4294967295, 4294967296,
  Number.MAX_SAFE_INTEGER, Number.MIN_SAFE_INTEGER, 0.5, -0.1, 1e300, 5e-324, 3.141592653589793,
  "", "x", "ünïcödé – 漢字 😀 \u0000\u001e\u2028\ufeff", '"\\/<>&\'\n\r\t', "x".repeat(31), "x".repeat(32), "x".repeat(256), "x".repeat(20_000),
  [], [1, "two", null, [3.5, [true]]], Array.from({ length: 20 }, (_, i) => i), Array.from({ length: 1000 }, (_, i) => i),
  {}, { a: 1, B: { "c.d": [null, {}] }, "": "", "ключ": "знач" }, Object.fromEntries(Array.from({ length: 40 }, (_, i) => [`k${i}`, i])),
  JSON.parse("[".repeat(30) + "]".repeat(30)),
];

describe("values", { concurrency: 10 }, () => {
  everywhere("Echo(any) is the argument", async (cell) => {
    const back = await Promise.all(anything.map((value) => client(cell).invoke("Echo", value)));
    assert.deepStrictEqual(back, anything);
    assert.equal(await client(cell).invoke("Echo", undefined), null);
  });

  for (const cell of cells.filter((c) => c.encoding === "messagepack")) {
    test(`Echo(any) carries bytes and times, too [${cell}]`, async () => {
      const bytes = new Uint8Array([0, 1, 127, 128, 255]);
      assert.deepEqual(await client(cell).invoke("Echo", bytes), bytes);
      assert.deepEqual(await client(cell).invoke("Echo", { deep: [bytes] }), { deep: [bytes] });
      for (const time of ["2024-05-06T07:08:09.123Z", "1970-01-01T00:00:00.000Z", "1931-01-01T00:00:00.001Z", "2600-01-01T00:00:00.999Z"]) {
        assert.deepEqual(await client(cell).invoke("Echo", new Date(time)), new Date(time));
      }
    });
  }

  test("Echo(any) changes nothing in the meaning of JSON numbers", async () => {
    const peer = await Peer.open(server, WS_JSON);
    for (const [i, number] of ["12345678901234567890", "-9223372036854775808", "1.0", "1e2", "0.1", "1E-7", "123456789.123456789123456789", "-0"].entries()) {
      await peer.bytes(`{"type":1,"invocationId":"${i}","target":"Echo","arguments":[ ${number} ]}\x1e`);
      const { text } = await peer.completion(String(i));
      const back = /"result":([^,}]+)/.exec(text)[1];
      assert.equal(Number(back), Number(number), number);
      if (/^-?\d+$/.test(number)) assert.equal(BigInt(back), BigInt(number), number);
    }
    peer.wire.reset();
  });

  test("Echo(any) changes nothing in the meaning of MessagePack values that JavaScript does not write", async () => {
    const peer = await Peer.open(server, { encoding: "messagepack" });
    const values = [
      ["a float32", [0xca, 0x3f, 0xc0, 0, 0], 1.5],
      ["a float64 that is whole", [0xcb, 0x3f, 0xf0, 0, 0, 0, 0, 0, 0], 1],
      ["an integer wider than need be", [0xd3, 0, 0, 0, 0, 0, 0, 0, 5], 5],
      ["an unsigned integer wider than need be", [0xcf, 0, 0, 0, 0, 0, 0, 0, 5], 5],
      ["a str32", [0xdb, 0, 0, 0, 1, 0x78], "x"],
      ["an array32", [0xdd, 0, 0, 0, 1, 0xc3], [true]],
      ["a map32", [0xdf, 0, 0, 0, 1, 0xa1, 0x61, 0xc0], { a: null }],
      ["a map with whole numbers for keys", [0x81, 7, 0xa1, 0x78], { 7: "x" }],
      ["a bin16", [0xc5, 0, 1, 9], Buffer.from([9])],
      ["an unknown extension", [0xd5, 42, 1, 2], new ExtData(42, Buffer.from([1, 2]))],
      ["a timestamp of 96 bits", [0xc7, 12, 0xff, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], new Date(-1000)],
    ];
    for (const [i, [name, bytes, value]] of values.entries()) {
      const head = Buffer.from([0x96, 1, 0x80, ...encode(String(i)), ...encode("Echo"), 0x91]);
      await peer.send(Buffer.concat([head, Buffer.from(bytes), Buffer.from([0x90])]));
      assert.deepEqual((await peer.completion(String(i))).result, value, name);
    }
    peer.wire.reset();
  });

  everywhere("EchoTyped(Payload) is the argument, with camelCase fields", async (cell) => {
    const child = { text: "child", count: 2, ratio: -0.25, flag: false, tags: [], data: bytesFor(cell, []), at: timeFor(cell, "1999-12-31T23:59:59.999Z"), child: null };
    const payload = {
      text: "ünïcödé 😀", count: Number.MAX_SAFE_INTEGER, ratio: 1.5, flag: true, tags: ["a", "", "ß"],
      data: bytesFor(cell, [0, 1, 254, 255]), at: timeFor(cell, "2024-05-06T07:08:09.123Z"), child,
    };
    const back = await client(cell).invoke("EchoTyped", payload);
    assert.deepEqual(Object.keys(back).sort(), Object.keys(payload).sort());
    assert.deepEqual({ ...back, data: 0, at: 0, child: 0 }, { ...payload, data: 0, at: 0, child: 0 });
    assert.deepEqual([...bytesOf(cell, back.data)], [0, 1, 254, 255]);
    assert.equal(timeOf(cell, back.at), Date.parse("2024-05-06T07:08:09.123Z"));
    assert.deepEqual({ ...back.child, data: 0, at: 0 }, { ...child, data: 0, at: 0 });
    assert.deepEqual([...bytesOf(cell, back.child.data)], []);
    assert.equal(timeOf(cell, back.child.at), Date.parse("1999-12-31T23:59:59.999Z"));
  });

  everywhere("EchoTyped: missing fields take the zero value, unknown ones are ignored", async (cell) => {
    const { at, ...back } = await client(cell).invoke("EchoTyped", { unknown: { deep: [1] }, extra: null });
    assert.deepEqual(back, { text: null, count: 0, ratio: 0, flag: false, tags: null, data: null, child: null });
    assert.equal(typeof timeOf(cell, at), "number");
  });

  everywhere("EchoTyped: nullable fields may be null", async (cell) => {
    const { at, ...back } = await client(cell).invoke("EchoTyped", { text: null, tags: null, data: null, child: null, count: 3 });
    assert.deepEqual(back, { text: null, count: 3, ratio: 0, flag: false, tags: null, data: null, child: null });
  });

  everywhere("EchoTyped: fields are matched without regard to case", async (cell) => {
    const back = await client(cell).invoke("EchoTyped", { TEXT: "x", Count: 4, rAtIo: 0.5, FLAG: true, Tags: ["t"], AT: timeFor(cell, "2024-01-01T00:00:00Z"), Child: { TexT: "y" } });
    assert.deepEqual([back.text, back.count, back.ratio, back.flag, back.tags, back.child.text], ["x", 4, 0.5, true, ["t"], "y"]);
    assert.equal(timeOf(cell, back.at), Date.parse("2024-01-01T00:00:00Z"));
  });

  everywhere("EchoTyped: a whole number is a double", async (cell) => {
    assert.equal((await client(cell).invoke("EchoTyped", { ratio: 2 })).ratio, 2);
    assert.equal((await client(cell).invoke("EchoTyped", { ratio: -7 })).ratio, -7);
  });

  test("EchoTyped: an int64 has all its bits", async () => {
    const peer = await Peer.open(server, WS_JSON);
    for (const [i, n] of ["9007199254740993", "9223372036854775807", "-9223372036854775808"].entries()) {
      await peer.bytes(`{"type":1,"invocationId":"${i}","target":"EchoTyped","arguments":[{"count":${n}}]}\x1e`);
      assert.match((await peer.completion(String(i))).text, new RegExp(`"count":${n}\\b`));
    }
    peer.wire.reset();
  });

  everywhere("EchoTyped: kinds are strict in fields, too", async (cell) => {
    const wrong = [
      { text: 5 }, { text: ["x"] }, { count: "1" }, { count: 1.5 }, { count: true }, { count: null }, { count: 2 ** 64 }, { ratio: "1.5" }, { ratio: true }, { flag: 1 }, { flag: "true" },
      { flag: null }, { tags: "x" }, { tags: [1] }, { tags: {} }, { data: 5 }, { data: [1, 2] }, { data: {} }, { at: true }, { at: [] }, { child: "x" }, { child: { count: "1" } }, { child: [] },
      "x", 5, [], true,
    ];
    for (const value of wrong) assert.equal(await failure(client(cell).invoke("EchoTyped", value)), BINDING("EchoTyped"), JSON.stringify(value));
  });

  everywhere("EchoBytes(bytes) is the argument", async (cell) => {
    for (const data of [[], [0], [0, 255, 128], Array.from({ length: 1000 }, (_, i) => i & 255)]) {
      assert.deepEqual([...bytesOf(cell, await client(cell).invoke("EchoBytes", bytesFor(cell, data)))], data);
    }
  });

  everywhere("EchoBytes: what is no bytes is a binding failure", async (cell) => {
    const wrong = [5, true, [1, 2], {}, ...(cell.encoding === "json" ? ["*", "abc"] : [])];
    for (const value of wrong) assert.equal(await failure(client(cell).invoke("EchoBytes", value)), BINDING("EchoBytes"), JSON.stringify(value));
  });

  everywhere("EchoTime(time) is the same instant; milliseconds survive", async (cell) => {
    for (const text of ["2024-05-06T07:08:09.123Z", "2024-02-29T23:59:59.999Z", "1970-01-01T00:00:00Z", "1969-12-31T23:59:59.001Z", "2600-01-01T00:00:00.5Z"]) {
      assert.equal(timeOf(cell, await client(cell).invoke("EchoTime", timeFor(cell, text))), Date.parse(text), text);
    }
  });

  for (const cell of cells.filter((c) => c.encoding === "json")) {
    test(`EchoTime: JSON answers in UTC with Z [${cell}]`, async () => {
      for (const text of ["2024-05-06T09:08:09.123+02:00", "2024-05-06T00:08:09.5-07:30"]) {
        assert.equal(timeOf(cell, await client(cell).invoke("EchoTime", text)), Date.parse(text), text);
      }
    });
  }

  everywhere("EchoTime: what is no time is a binding failure", async (cell) => {
    const wrong = [true, [], {}, ...(cell.encoding === "json" ? [5, "", "yesterday", "2024-13-01T00:00:00Z"] : ["yesterday", new Uint8Array([1])])];
    for (const value of wrong) {
      assert.equal(await failure(client(cell).invoke("EchoTime", value)), BINDING("EchoTime"), JSON.stringify(value));
    }
  });

  everywhere("Add(int32, int32) is the sum", async (cell) => {
    for (const [a, b] of [[1, 2], [-5, 3], [2147483647, 0], [-2147483648, 1], [0, 0]]) assert.equal(await client(cell).invoke("Add", a, b), a + b);
  });

  everywhere("Concat(string, string) is a then b", async (cell) => {
    assert.equal(await client(cell).invoke("Concat", "a", "b"), "ab");
    assert.equal(await client(cell).invoke("Concat", "", "ünï 😀"), "ünï 😀");
  });

  everywhere("Length(string) counts UTF-16 code units", async (cell) => {
    for (const text of ["", "abc", "ünï", "漢字", "😀", "a😀b", "👩‍👩‍👧"]) assert.equal(await client(cell).invoke("Length", text), text.length, text);
  });

  everywhere("MakeText(int32) is that many x, up to 1 MiB", async (cell) => {
    for (const n of [0, 1, 40_000, 1 << 20]) {
      const text = await client(cell).invoke("MakeText", n);
      assert.equal(text.length, n);
      assert.ok(/^x*$/.test(text));
    }
  });

  everywhere("int32, double, bool, string are strict", async (cell) => {
    const wrong = [
      ["Add", "1", 2], ["Add", 1, "2"], ["Add", 1.5, 2], ["Add", 2147483648, 0], ["Add", -2147483649, 0], ["Add", 1e300, 0], ["Add", null, 1], ["Add", true, 1], ["Add", [1], 1], ["Add", {}, 1],
      ["Concat", 1, "x"], ["Concat", "x", 1.5], ["Concat", true, "x"], ["Concat", ["x"], "x"], ["Concat", {}, "x"], ["Length", 5], ["MakeText", "5"], ["Sleep", "0"],
      ["CloseMe", null, "false"], ["CloseMe", null, 1], ["CloseMe", 5, false], ["Broadcast", "caller", "x", "text"], ["Broadcast", "caller", [1], "text"],
    ];
    for (const [target, ...args] of wrong) assert.equal(await failure(client(cell).invoke(target, ...args)), BINDING(target), JSON.stringify([target, args]));
    assert.equal(await client(cell).invoke("Add", 1, 2), 3, "the connection lives");
  });

  everywhere("method names are matched without regard to case", async (cell) => {
    assert.equal(await client(cell).invoke("aDD", 1, 2), 3);
    assert.equal(await client(cell).invoke("CONCAT", "a", "b"), "ab");
  });
});

describe("state and identity", { concurrency: 10 }, () => {
  everywhere("Remember and Recall: a value of this connection, null before", async (cell) => {
    const [one, two] = await Promise.all([Peer.open(server, cell), Peer.open(server, cell)]);
    assert.equal((await one.call("1", "Recall")).result, null);
    const remembered = await one.call("2", "Remember", "ünï");
    assert.deepEqual([remembered.error, remembered.result ?? null], [undefined, null], "no result, or null");
    assert.equal((await one.call("3", "Recall")).result, "ünï");
    assert.equal((await two.call("1", "Recall")).result, null);
    await one.call("4", "Remember", "");
    assert.equal((await one.call("5", "Recall")).result, "");
    one.wire.reset();
    two.wire.reset();
  });

  everywhere("ConnectionId() is the public connection id", async (cell) => {
    assert.equal(await client(cell).invoke("ConnectionId"), client(cell).id);
    assert.deepEqual(client(cell).welcomes, [[client(cell).id]]);
  });

  everywhere("Transport() is the name of the transport", async (cell) => {
    assert.equal(await client(cell).invoke("Transport"), cell.transport);
  });

  everywhere("PresentedToken() is null without one", async (cell) => {
    assert.equal(await client(cell).invoke("PresentedToken"), null);
  });

  everywhere("Sleep(ms) waits that long and returns ms", async (cell) => {
    const peer = await Peer.open(server, cell); // its own: a call waits for the one before
    const began = performance.now();
    assert.equal((await peer.call("1", "Sleep", 300)).result, 300);
    assert.ok(performance.now() - began >= 299, "it has waited");
    assert.equal((await peer.call("2", "Sleep", 0)).result, 0);
    peer.wire.reset();
  });
});
