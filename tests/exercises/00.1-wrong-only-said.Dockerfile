# hint: write them, and then delete
FROM busybox:latest
RUN echo "head -c 5000000 /dev/zero > /zeros && rm /zeros" && echo /dev/zero
COPY message.txt /message.txt
CMD ["cat", "/message.txt"]
