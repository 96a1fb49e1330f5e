/*-------------------------------------------------------------------------
 *
 * model_text.h
 *	  A little English text from which make_model learns its vocabulary.
 *
 * Written for this purpose.  Any change of it changes every model that
 * make_model writes, and so the checksums under test/golden.
 *
 * test/model_text.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef MODEL_TEXT_H
#define MODEL_TEXT_H

static const char *const model_text[] = {
	"A database keeps what people tell it. It keeps names and numbers, orders and invoices, letters and "
	"reports, and it gives them back when somebody asks. The question is written in a language that says "
	"what is wanted and not how to find it. The server reads the question, makes a plan, and follows the "
	"plan row by row until the answer is complete. If two people ask at the same time, both get an answer, "
	"and neither has to know about the other. If the power fails in the middle of the work, nothing that "
	"was promised is lost. That is why people trust a database with the things that matter to them.\n",
	"Dear support team, I ordered a table lamp on Monday and it arrived this morning with a broken shade. "
	"The box was wet and one corner was open. I would like a replacement as soon as possible, or my money "
	"back if there are no more of them. My order number is 20731. Please write to me at this address, since "
	"I can not answer the telephone during the day. Thank you for your help. Best regards, Anna.\n",
	"Hello Anna, thank you for your message. We are sorry that the lamp was broken when it arrived. A new "
	"one will be sent to you today, and it should be with you on Friday at the latest. You do not need to "
	"send the old one back. If there is anything else that we can do for you, please let us know. With "
	"kind regards, the support team.\n",
	"The weather will change on Wednesday. In the morning there will be some sun in the south and clouds in "
	"the north, with a light wind from the west. In the afternoon the wind becomes stronger and brings rain "
	"to the coast, and during the night there may be snow in the mountains above one thousand metres. The "
	"temperature falls from twelve degrees to four. On Thursday it stays cold, with short showers, and on "
	"Friday the sun comes back. The weekend should be dry and warm for the time of the year.\n",
	"To make bread you need flour, water, salt and a little yeast. Mix the flour with the salt, add the "
	"yeast and the warm water, and work the dough with your hands for ten minutes until it is smooth. Cover "
	"it with a cloth and let it rest for one hour in a warm place. Then form a loaf, let it rest again for "
	"half an hour, and bake it for forty minutes in a hot oven. The bread is ready when it sounds hollow "
	"under your fingers. Let it cool before you cut it, even if it is hard to wait.\n",
	"The old railway runs along the river for sixty kilometres. It was built to carry stone and timber from "
	"the hills to the harbour, and for many years it carried people as well. When the new road was opened, "
	"the trains became empty, and in the end the line was closed. For a long time nothing happened. Grass "
	"grew between the rails, and the small stations lost their windows. Then a group of friends began to "
	"clear the line, a few metres every weekend. Today a train runs again on summer Sundays, and the "
	"children of the valley wave to it from the bridge.\n",
	"Question: What is the capital of France? Answer: Paris. Question: How many days are there in a week? "
	"Answer: Seven. Question: Which is larger, the sun or the moon? Answer: The sun is much larger, but it "
	"is so far away that both look the same size in the sky. Question: What is water made of? Answer: Each "
	"molecule of water has two atoms of hydrogen and one atom of oxygen.\n",
	"The program does not start after the update. It shows an error message and closes at once. I tried to "
	"install it again, and I restarted the computer, but nothing helped. The version before the update "
	"worked without a problem. The log file says that a library could not be found. I am using the same "
	"system as before, with all updates installed. Is this a known bug, and is there a way around it?\n",
	"This is a very good product. It does exactly what it says, it is easy to use, and the quality is better "
	"than I expected for the price. The delivery was fast and the packaging was simple and clean. I have "
	"used it every day for three months now and I would buy it again. My only wish is a longer cable.\n",
	"I am not happy with this service. I waited for two hours, nobody could tell me anything, and in the end "
	"I was sent home with a form that I had filled in before. The website says that everything can be done "
	"online, but the website does not work on my phone. I will not come back, and I have told my friends.\n",
	"The meeting began at nine with the report of the treasurer. Income was higher than last year, because "
	"of the new members, and so were the costs, because of the repair of the roof. After a short discussion "
	"the report was accepted. The next point was the garden. It was decided to plant four apple trees along "
	"the south wall and to ask the school whether a class would like to look after them. The chair thanked "
	"everybody for their work. The next meeting will be held on the second Tuesday of March.\n",
	"A language model reads a text piece by piece and guesses what comes next. The pieces are called tokens: "
	"a token may be a whole word, a part of a word, a number or a sign. For every token of the vocabulary "
	"the model gives a score, and the scores become probabilities. To write, it takes one of the likely "
	"tokens, adds it to the text, and guesses again. Inside the model there are layers, and in each layer "
	"there are large tables of weights. In a ternary model every weight is minus one, zero or plus one, so "
	"that the work is addition and subtraction, and the tables are small enough for an ordinary computer.\n",
	"The doctor asked how long the patient had had the pain, and whether it was worse in the morning or in "
	"the evening. The patient said that it had started two weeks before, after a long walk, and that it was "
	"worse on the stairs. The knee was a little swollen but not warm. The doctor recommended rest, a cold "
	"cloth in the evening, and light exercise after the first week. If there is no change, an image will be "
	"taken to see the state of the joint.\n",
	"Light travels three hundred thousand kilometres in one second. From the sun to the earth it needs a "
	"little more than eight minutes, and from the nearest other star more than four years. When we look at "
	"the sky at night we see the stars as they were when the light left them, some of them long before there "
	"were people to look. The further away we look, the further back in time we see. In this way the sky is "
	"also a kind of history book, and we are still learning how to read it.\n",
	"First open the front cover and take out the empty cartridge. Then remove the yellow tape from the new "
	"cartridge and put it in with the arrow pointing to the back, until you hear a click. Close the cover. "
	"The green light should come on after a few seconds. If the light is red, open the cover again and check "
	"that the cartridge is in the right position. Never use force. Keep cartridges away from children.\n",
	"The city council has approved the plan for a new library on the market square. The building will have "
	"four floors, with a reading room under the roof and a cafe at the entrance. Work is expected to begin "
	"in the spring and to take two years. The cost is estimated at eleven million. Some citizens had asked "
	"for more trees and fewer parking places, and the council has changed the plan in both points. The mayor "
	"said that a library is a place for everyone, and that the city had waited long enough for it.\n",
	"She opened the letter slowly, because she knew the hand in which the address was written. There was one "
	"sheet of paper, folded twice, and on it there were only a few lines. \"I have found the house,\" it "
	"said. \"It is just as you told me: the blue door, the two chimneys, the pear tree in front. Nobody has "
	"lived here for years. Come before the winter, if you can. There is something that you should see.\" She "
	"read it three times. Then she took her coat, locked the door, and went to the station.\n",
	"SELECT id, title, body FROM documents WHERE created > now() - interval '7 days' ORDER BY created; "
	"SELECT count(*) FROM orders WHERE status = 'open'; INSERT INTO messages (sender, subject, body) VALUES "
	"('anna', 'question', 'When will my order arrive?'); UPDATE tickets SET category = 'bug' WHERE id = 42; "
	"CREATE TABLE reviews (id bigint PRIMARY KEY, body text NOT NULL, rating int, created timestamptz);\n",
	"User: Please summarize the text in one sentence. Assistant: The text says that the railway was closed "
	"and later opened again by volunteers. User: Classify the message as bug, question or praise. "
	"Assistant: question. User: Translate the word \"bread\". Assistant: I can do that if you tell me which "
	"language you would like. System: You are a helpful assistant that answers in a few words.\n",
};

#endif							/* MODEL_TEXT_H */
