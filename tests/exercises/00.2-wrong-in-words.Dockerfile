# hint: which bytes never repeat
FROM busybox:latest
RUN yes 1234567 | head -c 6000000 > /words
COPY message.txt /message.txt
CMD ["cat", "/message.txt"]
