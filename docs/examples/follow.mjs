// A room's present state, then every change; node follow.mjs ROOM [redis://…]
import { createClient } from "redis";

const [name, url = "redis://127.0.0.1:6379/0"] = process.argv.slice(2);
const room = `classmood:{${name}}`;
const redis = createClient({ url }).on("error", (error) => console.error(error.message));
await redis.connect();

// the place in the stream first, then the state: what happens in between is seen twice, not lost
const [ids, newest] = await redis.multi().zRange(`${room}:participants`, 0, -1).xRevRange(`${room}:events`, "+", "-", { COUNT: 1 }).exec();
const people = await Promise.all(ids.map((id) => redis.hGetAll(`${room}:participant:${id}`)));
console.log(people.filter((person) => person.present === "1").length, "present");
const read = ({ message }) => { try { return JSON.parse(message.event); } catch { return null; } }; // an entry of somebody else's
for (let id = newest[0]?.id ?? "0-0"; ; ) {
  const [{ messages } = { messages: [] }] = (await redis.xRead({ key: `${room}:events`, id }, { COUNT: 500, BLOCK: 5000 })) ?? [];
  id = messages.at(-1)?.id ?? id;
  const changes = messages.map(read).filter((event) => event?.type === "classmood.emotion.changed");
  for (const { subject, data } of changes) console.log(subject, data?.after);
}
