// §4: every text of a completion's error, word for word; §5 Errors.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { everywhere, failure, items } from "./matrix.mjs";
import { Peer } from "./raw.mjs";
import { client, server } from "./suite.mjs";

describe("the error of a completion", { concurrency: 10 }, () => {
  everywhere("hub error thrown by a method (ThrowHubError)", async (cell) => {
    for (const text of ["T", 'with "quotes" and ünï <&> 😀', "two\nlines"]) {
      assert.equal(await failure(client(cell).invoke("ThrowHubError", text)), `An unexpected error occurred invoking 'ThrowHubError' on the server. HubException: ${text}`);
    }
  });

  everywhere("the target is quoted as the client wrote it", async (cell) => {
    assert.equal(await failure(client(cell).invoke("throwHUBerror", "T")), "An unexpected error occurred invoking 'throwHUBerror' on the server. HubException: T");
    assert.equal(await failure(client(cell).invoke("ADD", 1)), "Failed to invoke 'ADD' due to an error on the server.");
    assert.equal(await failure(client(cell).invoke("coUNT", 1, 1)), "The client attempted to invoke the streaming 'coUNT' method with a non-streaming invocation.");
    assert.equal(await failure(items(client(cell).stream("aDd", 1, 1))), "The client attempted to invoke the non-streaming 'aDd' method with a streaming invocation.");
  });

  everywhere("secret error thrown by a method (ThrowSecret): its text reaches nobody", async (cell) => {
    const peer = await Peer.open(server, cell);
    const { error } = await peer.call("1", "ThrowSecret", "the-secret-text");
    assert.equal(error, "An unexpected error occurred invoking 'ThrowSecret' on the server.");
    assert.ok(!JSON.stringify(peer.log).includes("the-secret-text"));
    peer.wire.reset();
  });

  everywhere("unknown method", async (cell) => {
    for (const target of ["Nonsense", "echo2", "OnConnected", "OnDisconnected", "Dispose", "toString", "It's <odd>"]) {
      assert.equal(await failure(client(cell).invoke(target)), `Failed to invoke '${target}' due to an error on the server. HubException: Method does not exist.`);
    }
    assert.equal(await failure(client(cell).invoke("Nonsense", 1, "two", [3])), "Failed to invoke 'Nonsense' due to an error on the server. HubException: Method does not exist.");
  });

  everywhere("wrong number or kind of arguments", async (cell) => {
    const wrong = [["Add"], ["Add", 1], ["Add", 1, 2, 3], ["Add", "1", 2], ["Recall", 1], ["Echo"], ["Echo", 1, 2], ["CallMe", "Message"], ["CallMe", "Message", "args"]];
    for (const [target, ...args] of wrong) {
      assert.equal(await failure(client(cell).invoke(target, ...args)), `Failed to invoke '${target}' due to an error on the server.`, JSON.stringify(args));
    }
  });

  everywhere("wrong number or kind of arguments, of a streaming method", async (cell) => {
    for (const args of [[], [1], [1, 2, 3], ["1", 0], [1.5, 0]]) {
      assert.equal(await failure(items(client(cell).stream("Count", ...args))), "Failed to invoke 'Count' due to an error on the server.", JSON.stringify(args));
    }
  });

  everywhere("unknown method, invoked as a stream", async (cell) => {
    assert.match(await failure(items(client(cell).stream("Nonsense"))), /^Failed to invoke 'Nonsense' due to an error on the server\. HubException: Method does not exist\.$/);
  });

  everywhere("stream fails after it began, hub error (CountThenFail)", async (cell) => {
    await assert.rejects(items(client(cell).stream("CountThenFail", 3, "T")), (error) => {
      assert.equal(error.message, "An error occurred on the server while streaming results. HubException: T");
      assert.deepEqual(error.items, [0, 1, 2]);
      return true;
    });
  });

  everywhere("streaming method invoked as a plain invocation", async (cell) => {
    for (const [target, ...args] of [["Count", 3, 0], ["EndlessTicks", 1], ["CountThenFail", 1, "T"], ["FailBeforeStream", "T"]]) {
      assert.equal(await failure(client(cell).invoke(target, ...args)), `The client attempted to invoke the streaming '${target}' method with a non-streaming invocation.`);
    }
  });

  everywhere("plain method invoked as a stream", async (cell) => {
    for (const [target, ...args] of [["Add", 1, 2], ["Recall"], ["ThrowHubError", "T"]]) {
      assert.equal(await failure(items(client(cell).stream(target, ...args))), `The client attempted to invoke the non-streaming '${target}' method with a streaming invocation.`);
    }
  });

  everywhere("number of client streams differs from what the method takes", async (cell) => {
    const peer = await Peer.open(server, cell);
    const cases = [["Sum", [], []], ["Sum", [], ["a", "b"]], ["JoinStreams", ["-"], ["c"]], ["JoinStreams", ["-"], []], ["Add", [1, 2], ["d"]]];
    for (const [i, [target, args, streamIds]] of cases.entries()) {
      await peer.send({ type: 1, invocationId: `i${i}`, target, arguments: args, ...(streamIds.length && { streamIds }) });
      const { error } = await peer.completion(`i${i}`);
      assert.ok(error?.startsWith(`An unexpected error occurred invoking '${target}' on the server.`), `${target} ${streamIds}: ${error}`);
    }
    await peer.send({ type: 4, invocationId: "s", target: "DoubleAll", arguments: [] });
    const { error } = await peer.completion("s");
    assert.ok(error?.startsWith("An unexpected error occurred invoking 'DoubleAll' on the server."), error);
    assert.equal((await peer.call("end", "Add", 1, 2)).result, 3, "the connection lives");
    peer.wire.reset();
  });

  everywhere("not allowed by role or policy: the anonymous hub has no such roles", async (cell) => {
    // AdminOnly is a method of the authorised hub only; auth.test.mjs has the text of those who may not.
    assert.match(await failure(client(cell).invoke("AdminOnly")), /^Failed to invoke 'AdminOnly' (due to an error on the server\. HubException: Method does not exist\.|because user is unauthorized)$/);
  });

  everywhere("an invocation without an id never gets an answer, whatever happens", async (cell) => {
    const peer = await Peer.open(server, cell);
    await peer.welcome();
    const silent = [
      ["Add", 1, 2], ["Nonsense"], ["Add", "x"], ["Add"], ["ThrowHubError", "T"], ["ThrowSecret", "T"], ["Count", 3, 0], ["Remember", "x"],
    ].map(([target, ...args]) => ({ type: 1, target, arguments: args }));
    await peer.send(...silent, { type: 1, target: "Sum", arguments: [] }, { type: 1, target: "Add", arguments: [1, 2], streamIds: ["9"] });
    assert.equal((await peer.call("last", "Recall")).result, "x");
    await peer.call("fence", "Add", 0, 0);
    assert.deepEqual(peer.inbox, []);
    peer.wire.reset();
  });

  test("an empty invocation id is none", async () => {
    for (const encoding of ["json", "messagepack"]) {
      const peer = await Peer.open(server, { encoding });
      await peer.welcome();
      await peer.send({ type: 1, invocationId: "", target: "Remember", arguments: ["x"] });
      assert.equal((await peer.call("1", "Recall")).result, "x");
      assert.deepEqual(peer.inbox, []);
      peer.wire.reset();
    }
  });

  test("invocation ids are the client's own business", async () => {
    const peer = await Peer.open(server);
    for (const id of ["0", "ünï", "s1", " ", "x".repeat(1000), "00", '"']) assert.equal((await peer.call(id, "Add", 1, 2)).result, 3, id);
    peer.wire.reset();
  });
});
