-- One after the other: programs that start at once would stumble.
SELECT pg_advisory_xact_lock(4711);

CREATE TABLE IF NOT EXISTS outbox (
  id           text PRIMARY KEY,                     -- UUIDv7: nobody can guess it
  turn         bigint GENERATED ALWAYS AS IDENTITY,  -- the order in which rows were written
  recipient    text NOT NULL,
  event        json NOT NULL,                        -- what is posted, the id and the recipient included
  created_at   timestamptz NOT NULL DEFAULT now(),
  attempted_at timestamptz,                          -- no attempt to publish began before
  published    bigint,                               -- the position in the log; 0 = scheduled
  refused      text                                  -- why it is set aside
);

CREATE INDEX IF NOT EXISTS outbox_waiting ON outbox (turn)
  WHERE published IS NULL AND refused IS NULL;

CREATE INDEX IF NOT EXISTS outbox_waiting_for ON outbox (recipient, turn)
  WHERE published IS NULL AND refused IS NULL;

-- The business of this example.
CREATE TABLE IF NOT EXISTS orders (
  number   text PRIMARY KEY,
  customer text NOT NULL
);
